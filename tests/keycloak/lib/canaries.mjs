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

/** Where which kind of secret is found, as it is and percent-encoded: `[{ file, kind }]`; never the secret itself. */
export function betrayals(files, canaries) {
  const found = [];
  for (const file of files) {
    const bytes = readFileSync(file);
    for (const { kind, value } of canaries) {
      const forms = new Set([value, encodeURIComponent(value)]);
      if ([...forms].some((form) => bytes.includes(form))) found.push({ file, kind });
    }
  }
  return found;
}
