// Drives the dashboard in Chromium, in front of a small provider of its own.
//   node run.mjs [SUITE…]         all suites of suites/, or only those whose name contains a word
//   node run.mjs --screenshots    takes the pictures of docs/screenshots/ anew
// Fails if a test failed, was skipped, or did not run. Keeps what Tollgate wrote in $SUITE_RUN, a new temporary folder by default.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chosen, runAll } from '../keycloak/lib/suites.mjs';

const given = process.argv.slice(2);
const here = fileURLToPath(new URL('.', import.meta.url));
const folder = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-dashboard-'));
mkdirSync(folder, { recursive: true });
console.log(`logs and audits: ${folder}`);

let child;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child?.kill(signal));

function execute(args) {
  child = spawn(process.execPath, args, { cwd: here, env: { ...process.env, SUITE_RUN: folder }, stdio: 'inherit' });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

process.exit(given.includes('--screenshots') ? await execute([join(here, 'screenshots.mjs')]) : (await runAll(chosen(here, given), folder, execute)).code);
