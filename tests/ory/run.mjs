// Runs the suites of Hydra and Kratos, which `ory.sh build` makes, one after the other. Fails if a test failed, was skipped, or did not run.
//   node run.mjs [SUITE…]     all suites of suites/, or only those named, such as `session`
// Keeps what Tollgate wrote in $SUITE_RUN, a new temporary folder by default. A complete run outside CI is written down in `last-run`.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
if (spawnSync(join(here, 'ory.sh'), ['built']).status !== 0) {
  console.error('Hydra and Kratos are not there: run tests/ory/ory.sh build');
  process.exit(1);
}
const folder = process.env.SUITE_RUN ?? mkdtempSync(join(tmpdir(), 'tollgate-suite-'));
mkdirSync(folder, { recursive: true });
console.log(`logs, audits and events: ${folder}`);

const named = process.argv.slice(2);
const all = readdirSync(join(here, 'suites')).sort();
const files = all.filter((name) => named.length === 0 || named.some((part) => name.includes(part))).map((name) => join(here, 'suites', name));
const report = join(folder, 'report.tap');
const child = spawn(
  process.execPath,
  ['--test', '--test-concurrency=1', '--test-reporter=spec', '--test-reporter-destination=stdout', '--test-reporter=tap', `--test-reporter-destination=${report}`, ...files],
  { stdio: 'inherit', env: { ...process.env, SUITE_RUN: folder } },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
const started = Date.now();
let [code] = await once(child, 'exit');
const counted = (what) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(readFileSync(report, 'utf8'))?.[1] ?? NaN);
const idle = counted('skipped') + counted('todo') + counted('cancelled');
if (idle !== 0 || !(counted('pass') >= files.length)) {
  console.error(`not everything ran: ${counted('pass')} passed of ${files.length} suites, ${idle} skipped, to do or cancelled`);
  code ||= 1;
}
console.log(`${files.length} suites, ${counted('pass')} tests passed, ${counted('fail')} failed, in ${((Date.now() - started) / 1000).toFixed(0)} s`);
if (code === 0 && named.length === 0 && !process.env.CI) {
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(join(here, 'last-run'), `${date}: ory/hydra v2.3.0, ory/kratos v1.3.1, ${counted('pass')} tests\n`);
}
process.exit(code ?? 1);
