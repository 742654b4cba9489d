// Every password, secret, code, cookie and token that a suite handles, to be looked for afterwards in all that Tollgate wrote.

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const shortest = 12;

export class Canaries {
  #kinds = new Map();

  /** Remembers a secret; of a token also its payload-and-signature tail, which would betray it without its header. */
  add(kind, value) {
    if (typeof value !== 'string' || value.length < shortest) return value;
    this.#kinds.set(value, kind);
    const parts = value.split('.');
    if (parts.length === 3 && parts[2].length > 40) this.#kinds.set(parts[2], `${kind} signature`);
    return value;
  }

  entries() {
    return [...this.#kinds].map(([value, kind]) => ({ kind, value }));
  }

  /** Leaves them in a suite's folder for the search after the last suite. */
  leave(folder) {
    mkdirSync(join(folder, 'known'), { recursive: true });
    writeFileSync(join(folder, 'known', 'canaries.json'), JSON.stringify(this.entries()));
  }
}

/** All files below a folder. */
export function filesBelow(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

/**
 * Where which kind of secret is found, as it is and percent-encoded: `[{ file, kind }]`; never the secret itself. There are thousands of secrets and many
 * megabytes, so each place is looked up by its last bytes, in which secrets differ most.
 */
export function betrayals(files, canaries) {
  const byEnd = new Map();
  const ends = new Uint8Array(1 << 24);
  for (const { kind, value } of canaries) {
    for (const form of new Set([value, encodeURIComponent(value)])) {
      const bytes = Buffer.from(form);
      ends[bytes.readUIntLE(bytes.length - 3, 3)] = 1;
      const end = bytes.latin1Slice(bytes.length - shortest);
      byEnd.set(end, [...(byEnd.get(end) ?? []), { kind, bytes }]);
    }
  }
  const found = [];
  for (const file of files) {
    const text = readFileSync(file);
    const kinds = new Set();
    for (let at = shortest; at <= text.length; at += 1) {
      if (!ends[text[at - 3] | (text[at - 2] << 8) | (text[at - 1] << 16)]) continue;
      for (const { kind, bytes } of byEnd.get(text.latin1Slice(at - shortest, at)) ?? []) {
        if (at >= bytes.length && bytes.equals(text.subarray(at - bytes.length, at))) kinds.add(kind);
      }
    }
    found.push(...[...kinds].map((kind) => ({ file, kind })));
  }
  return found;
}
