"""Pages that need nothing but themselves, and all that malmoi says to people, in English and Korean. No model is known here.

document      one HTML file: head, style, scripts, data; everything in it is escaped
formulas      formulas written as plain text, set as mathematics
language      Teller: says things in one language
texts/        what it says: one catalogue for each part of malmoi
"""
