// Runs the suites of Hydra and Kratos, which `ory.sh build` makes, one after the other. Fails if a test failed, was skipped, or did not run.
//   node run.mjs [SUITE…]     all suites of suites/, or only those named, such as `session`
// Keeps what Tollgate wrote in $SUITE_RUN, a new temporary folder by default. A complete run outside CI is written down in `last-run`.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chosen, inNode, runAll } from '../keycloak/lib/suites.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
if (spawnSync(join(here, 'ory.sh'), ['built']).status !== 0) {
  console.error('Hydra and Kratos are not there: run tests/ory/ory.sh build');
  process.exit(1);
}
const folder = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-suite-'));
mkdirSync(folder, { recursive: true });
console.log(`logs, audits and events: ${folder}`);

const named = process.argv.slice(2);
const { code, passed } = await runAll(chosen(here, named), folder, inNode(folder));
if (code === 0 && named.length === 0 && !process.env.CI) {
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(join(here, 'last-run'), `${date}: ory/hydra v2.3.0, ory/kratos v1.3.1, ${passed} tests\n`);
}
process.exit(code);
