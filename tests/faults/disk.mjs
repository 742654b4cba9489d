// A disk that is full, and a database that cannot be written: what would need a record is refused, all else passes, and it ends by itself.

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { hook, provider } from './lib/provider.mjs';
import { expect, tollgate, until } from './lib/proxy.mjs';

export default async function disk(run) {
  const [idp, endpoint] = [await provider(), await hook()];
  const options = {
    provider: idp,
    upstream: idp.port,
    interceptors: [{ name: 'any', trigger: 'PRE_SIGNUP', url: `http://127.0.0.1:${endpoint.port}/`, lines: 'on_failure = "allow"' }],
  };
  const figures = [];
  const mounted = join(run, 'small');
  mkdirSync(mounted);
  let isMounted = true;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mounted], { stdio: 'ignore' });
  } catch {
    isMounted = false;
  }

  if (isMounted) {
    try {
      const proxy = await tollgate(run, 'full', { ...options, audit: `sqlite:${mounted}/audit.db` });
      expect((await proxy.signup()).status === 200, 'service before');
      const filler = openSync(join(mounted, 'filler'), 'w');
      const fill = () => {
        try {
          for (;;) writeSync(filler, Buffer.alloc(4096));
        } catch (error) {
          expect(error.code === 'ENOSPC', `the disk to be full, got ${error}`);
        }
      };
      fill();
      figures.push(await refused(proxy, idp, 'full disk (tmpfs of 4 MiB)', fill));
      closeSync(filler);
      rmSync(join(mounted, 'filler'));
      figures.push(await recovered(proxy, 'there is room again'));
      await proxy.stop();
    } finally {
      execFileSync('umount', [mounted]);
    }
  } else {
    figures.push('full disk by tmpfs: this user may not mount one; the limit on file sizes below shows the same');
  }

  // The largest file a process may write; SIGXFSZ is left aside, so that writing fails with EFBIG.
  const limited = await tollgate(run, 'limited', { ...options, around: ['bash', '-c', 'trap "" XFSZ; ulimit -f 300; exec "$0" "$@"'] });
  expect((await limited.signup()).status === 200, 'service before');
  figures.push(await refused(limited, idp, 'files of 300 KiB at the most'));
  await limited.stop();

  // A store that cannot be written is found before anything is served.
  mkdirSync(join(run, 'readonly'), { recursive: true });
  const missing = await tollgate(run, 'readonly', { ...options, audit: 'sqlite:/proc/audit.db' }).then(
    () => 'it started',
    (error) => error.message,
  );
  expect(missing.includes('tollgate ended with 64') && missing.includes('audit'), `an end with 64 that names the audit, got ${missing}`);
  figures.push('a store that cannot be written: 64 at the start, with the place in the file');
  idp.close();
  endpoint.close();
  return figures;
}

async function refused(proxy, idp, what, again = () => {}) {
  let answer = { status: 200 };
  let taken = 0;
  const accounts = () => idp.seen.get('/signup') ?? 0;
  let before = accounts();
  await until('a record cannot be written', async () => {
    again();
    before = accounts();
    answer = await proxy.signup(`${'x'.repeat(200)}@example.com`);
    taken += answer.status === 200 ? 1 : 0;
    return answer.status !== 200;
  });
  expect(answer.status === 503 && JSON.parse(answer.text).error === 'temporarily_unavailable', `${what}: 503, got ${JSON.stringify(answer)}`);
  expect(accounts() === before, `${what}: no account without its record`);
  const page = await proxy.get('/page');
  expect(page.status === 200, `${what}: what needs no record passes, got ${JSON.stringify(page)}`);
  return `${what}: ${taken} more records, then signups 503 in ${answer.ms.toFixed(0)} ms and no account is made; other requests ${page.status}`;
}

async function recovered(proxy, what) {
  const ms = await until('it recovers', async () => (await proxy.signup()).status === 200);
  return `${what}: signups 200 after ${ms.toFixed(0)} ms, without a restart`;
}
