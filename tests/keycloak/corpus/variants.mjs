// All variants of an operation's request: every spelling that applies to it, and pairs of the strongest.

import { bodySpellings } from './bodies.mjs';
import { heads } from './spellings.mjs';
import { frames } from './h2.mjs';

const singles = [...heads, ...bodySpellings, ...frames];

/** What some upstream reads as the same request, from measurements: two of them together may be what no single one is. */
const strong = [
  ['path', ['a trailing slash', 'an encoded letter', 'a path parameter', 'two slashes before the last segment', 'a dot-dot segment', 'capitals at the end', 'an encoded slash']],
  ['target', ['an absolute-form target elsewhere', 'something in the query', 'a fragment']],
  ['form', ['the deciding name encoded', 'twice, the decoy last', 'a byte-order mark']],
  ['multipart', ['multipart', 'file names', 'multipart twice, the decoy first']],
  ['JSON', ['an escaped key', 'the key twice, the decoy last', 'UTF-16, big end first', 'garbage behind', 'a byte-order mark']],
  ['content type', ['no content type', 'charset=utf-8', 'Content-Encoding: gzip on a plain body']],
  ['framing', ['HTTP/1.0', 'chunks with extensions', 'Expect: 100-continue']],
  ['header', ['an original URL', 'forwarded headers']],
];
const strongest = strong.flatMap(([dimension, names]) => names.map((name) => {
  const found = singles.find((single) => single.dimension === dimension && single.name === name);
  if (!found) throw new Error(`there is no spelling \`${name}\` of the ${dimension}`);
  return found;
}));
const couples = strongest.flatMap((one, index) => strongest.slice(index + 1).filter((other) => other.dimension !== one.dimension).map((other) => ({
  // The body first: what changes the framing has to see it.
  dimension: 'pair', name: `${one.name}, and ${other.name}`, spell: (draft, at) => both(one, other, draft, at),
})));

const order = ['path', 'form', 'JSON', 'multipart', 'content type', 'target', 'header', 'framing'];
function both(one, other, draft, at) {
  const [before, behind] = [one, other].toSorted((a, b) => order.indexOf(a.dimension) - order.indexOf(b.dimension));
  const half = before.spell(draft, at);
  return half && behind.spell(half, at);
}

/**
 * The spellings that apply to a draft.
 * @param depth how many there are: `{ step, pairs }`; only every `step`th single one but all of paths and methods, and every `pairs`th pair, none for 0
 */
export function variants(draft, at, { step = 1, pairs = 1 } = {}) {
  const apply = (list) => list.filter(({ spell }) => spell(draft, at));
  const always = ['path', 'target', 'method'];
  const single = apply(singles).filter(({ dimension }, index) => always.includes(dimension) || index % step === 0);
  const paired = pairs ? apply(couples).filter((_, index) => index % pairs === 0) : [];
  return [...single, ...paired];
}
