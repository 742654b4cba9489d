// The suites of a folder, run one after the other and counted.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The files of `suites/` below `here`, in the order of their names; all of them, or those whose name contains one of the words. */
export function chosen(here, words) {
  const all = readdirSync(join(here, 'suites')).filter((name) => name.endsWith('.test.mjs')).sort();
  return all.filter((name) => words.length === 0 || words.some((word) => name.includes(word))).map((name) => join(here, 'suites', name));
}

/**
 * Runs them by `execute`, which starts Node with arguments and gives its exit code: `{ code, passed }`, where the code is 0 only if every suite ran, no
 * test was left out and none failed. The report is kept in `folder`.
 */
export async function runAll(files, folder, execute) {
  // Without a file Node would look for tests by itself.
  if (files.length === 0) {
    console.error('no suite has such a name');
    return { code: 1, passed: 0 };
  }
  const report = join(folder, 'report.tap');
  const started = Date.now();
  // One process a suite, in this order: they may share ports.
  let code = await execute([
    '--test',
    '--test-concurrency=1',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    '--test-reporter=tap',
    `--test-reporter-destination=${report}`,
    ...files,
  ]);
  const counted = (what) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(readFileSync(report, 'utf8'))?.[1] ?? NaN);
  const passed = counted('pass');
  const idle = counted('skipped') + counted('todo') + counted('cancelled');
  if (idle !== 0 || !(passed >= files.length)) {
    console.error(`not everything ran: ${passed} passed of ${files.length} suites, ${idle} skipped, to do or cancelled`);
    code ||= 1;
  }
  console.log(`${files.length} suites, ${passed} tests passed, ${counted('fail')} failed, in ${((Date.now() - started) / 1000).toFixed(0)} s`);
  return { code, passed };
}

/** An `execute` with nothing but Node, for suites that keep what they write in `folder`. */
export const inNode = (folder) => async (args) => {
  const child = spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, SUITE_RUN: folder } });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  const [code] = await once(child, 'exit');
  return code ?? 1;
};
