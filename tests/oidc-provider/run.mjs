// Runs the suites one after the other. Fails if a test failed, was skipped, or did not run.
//   node run.mjs [SUITE…]     all suites of suites/, or only those named, such as `session`
// Keeps what Tollgate wrote in $SUITE_RUN, a new temporary folder by default.

import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chosen, inNode, runAll } from '../keycloak/lib/suites.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-suite-'));
mkdirSync(folder, { recursive: true });
console.log(`logs, audits and events: ${folder}`);

const named = process.argv.slice(2);
const { code } = await runAll(chosen(here, named), folder, inNode(folder));
process.exit(code);
