"use strict";
// What the page knows: the words, where they lie, how near they are in the full space, and how they are spelt.
const space = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { words, ranks, groups, k } = data;
  const n = words.length;
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;

  const points = new Uint16Array(bytes(data.points));
  const x = Float32Array.from(words, (_, i) => points[2 * i] / 65535);
  const y = Float32Array.from(words, (_, i) => points[2 * i + 1] / 65535);

  const tell = (key, values = {}) => data.tell[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const decimals = (value) => value.toFixed(2).replace("-", "−");

  // Nearness

  const places = new Uint16Array(bytes(data.places));
  const cosines = new Int16Array(bytes(data.cosines));
  const near = (i) => Array.from({ length: k }, (_, j) => ({ word: places[k * i + j], cosine: cosines[k * i + j] / 32767 }));

  const codes = new Int8Array(bytes(data.codes));
  const dim = codes.length / n;
  const lengths = Float32Array.from(words, (_, i) => {
    let sum = 0;
    for (let d = dim * i; d < dim * (i + 1); d += 1) sum += codes[d] * codes[d];
    return Math.sqrt(sum) || 1;
  });

  // The words nearest to b - a + c, without these three; every word counts with length 1 (3CosAdd).
  const analogy = (a, b, c, most = 5) => {
    const sum = new Float32Array(dim);
    for (const [word, sign] of [[a, -1], [b, 1], [c, 1]]) {
      for (let d = 0; d < dim; d += 1) sum[d] += (sign * codes[dim * word + d]) / lengths[word];
    }
    const length = Math.sqrt(sum.reduce((total, value) => total + value * value, 0)) || 1;
    const scores = words.map((_, i) => {
      let dot = 0;
      for (let d = 0; d < dim; d += 1) dot += sum[d] * codes[dim * i + d];
      return { word: i, cosine: dot / (length * lengths[i]) };
    });
    return scores.filter(({ word }) => ![a, b, c].includes(word)).sort((one, other) => other.cosine - one.cosine).slice(0, most);
  };

  // Spelling

  const fold = (text) => text.normalize("NFC").toLowerCase();
  const folded = words.map(fold);
  const exact = new Map(words.map((word, i) => [word, i]));
  const INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";
  const initial = (letter) => {
    const place = letter.codePointAt(0) - 0xac00;
    return place >= 0 && place < 11172 ? INITIALS[Math.floor(place / 588)] : letter;
  };
  // A typed letter may be an initial consonant (ㅎ of 한) and the last one a syllable that is not complete yet (하 of 한).
  const fits = (letter, typed, isLast) =>
    letter === typed || (INITIALS.includes(typed) ? initial(letter) === typed : isLast && letter.normalize("NFD").startsWith(typed.normalize("NFD")));
  const begins = (word, query) => {
    const letters = [...word];
    return letters.length >= query.length && query.every((typed, i) => fits(letters[i], typed, i === query.length - 1));
  };

  const numberOf = (text) => exact.get(text.trim().normalize("NFC")) ?? exact.get(text.trim()) ?? [folded.indexOf(fold(text.trim()))].find((i) => i >= 0);

  // Words that begin with what was typed, then those that hold it; in each the frequent ones first.
  const search = (text, most = 8) => {
    const query = fold(text.trim());
    if (!query) return [];
    const typed = [...query];
    const found = [[], [], []];
    folded.forEach((word, i) => {
      const kind = word === query ? 0 : begins(word, typed) ? 1 : word.includes(query) ? 2 : 3;
      if (kind < 3 && found[kind].length < most) found[kind].push(i);
    });
    return found.flat().slice(0, most);
  };

  return { data, n, words, ranks, groups, x, y, near, analogy, search, numberOf, tell, decimals };
})();
