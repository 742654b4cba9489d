#!/usr/bin/env node
// Tollgate, as it is built, on bad days: each part prints its figures and fails with what was expected.
//
//   node tests/faults/run.mjs [PART…]     all of: matrix disk shutdown framing slow floods overload paused soak
//
// Needs Node 20 and target/debug/tollgate, and for `framing` nginx and HAProxy; TOLLGATE_BINARY names another build. `docs/faults.md` has the figures. Runs some
// 2 minutes, on loopback only; what was written stays in SUITE_RUN (a folder of its own) when a part fails.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { prepare, stopAll } from './lib/proxy.mjs';

const ALL = ['matrix', 'disk', 'shutdown', 'framing', 'slow', 'floods', 'overload', 'paused', 'soak'];
const parts = process.argv.length > 2 ? process.argv.slice(2) : ALL;
const run = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-faults-'));
mkdirSync(run, { recursive: true });
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stopAll().then(() => process.exit(130)));

prepare(run);
const began = performance.now();
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
let failed = 0;
for (const part of parts) {
  const since = performance.now();
  try {
    const { default: play } = await import(`./${part}.mjs`);
    const figures = await play(run);
    console.log(`ok    ${part.padEnd(9)} ${seconds(since)}`);
    for (const line of figures) console.log(`      ${line}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${part.padEnd(9)} ${seconds(since)}: ${error.message}`);
    console.error(error.stack);
  }
  await stopAll();
}
console.log(`${parts.length - failed} of ${parts.length} parts passed in ${seconds(began)}${failed ? `; what was written is in ${run}` : ''}`);
if (!failed && !process.env.SUITE_RUN) rmSync(run, { recursive: true });
process.exit(failed ? 1 : 0);
