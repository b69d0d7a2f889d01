"""malmoi: your own text, turned into a language model that you understand, own and can ship."""
