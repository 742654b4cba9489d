// The load: wrk for what a request costs, vegeta at a fixed rate for what it adds to the time.

import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const cache = process.env.TOLLGATE_CACHE ?? join(homedir(), '.cache', 'tollgate');

/** A token request, as a web application sends it. */
const grant = 'grant_type=authorization_code&code=3b1f6c1e-5a7c-4f9e-9a56-0c8a8f4fd7f4.9d1d&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb&client_id=web&client_secret=not-a-secret-but-as-long-as-one&code_verifier=0123456789012345678901234567890123456789012';

/** `{ requests, seconds, failed }` of wrk with so many keep-alive connections. */
export async function wrk({ port, path, post, connections = 32, seconds, core, run }) {
  const script = join(run, 'load.lua');
  const request = post ? `wrk.method = "POST"\nwrk.body = "${grant}"\nwrk.headers["Content-Type"] = "application/x-www-form-urlencoded"\n` : '';
  writeFileSync(
    script,
    `${request}done = function(s, l, r)\n  io.write(string.format('RESULT {"requests":%d,"seconds":%f,"failed":%d,"p50":%f,"p99":%f}\\n', s.requests, s.duration / 1e6, s.errors.connect + s.errors.read + s.errors.write + s.errors.status + s.errors.timeout, l:percentile(50) / 1e3, l:percentile(99) / 1e3))\nend\n`,
  );
  const { stdout } = await execute('taskset', ['-c', String(core), 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, `http://127.0.0.1:${port}${path}`]);
  return JSON.parse(/^RESULT (.*)$/m.exec(stdout)[1]);
}

/** `{ p50, p99, failed }` in milliseconds at so many requests a second, sent when they are due whatever became of those before. */
export async function vegeta({ port, path, post, rate, seconds, core, run }) {
  const body = join(run, 'grant.form');
  writeFileSync(body, grant);
  const target = join(run, 'target.txt');
  writeFileSync(target, post ? `POST http://127.0.0.1:${port}${path}\nContent-Type: application/x-www-form-urlencoded\n@${body}\n` : `GET http://127.0.0.1:${port}${path}\n`);
  const results = join(run, 'vegeta.bin');
  const program = vegetaProgram();
  await execute('taskset', ['-c', String(core), program, 'attack', `-targets=${target}`, `-rate=${rate}/1s`, `-duration=${seconds}s`, '-workers=64', '-max-workers=256', `-output=${results}`]);
  const report = JSON.parse((await execute(program, ['report', '-type=json', results])).stdout);
  return { p50: report.latencies['50th'] / 1e6, p99: report.latencies['99th'] / 1e6, failed: Math.round((1 - report.success) * report.requests) };
}

/** Built from the Go module proxy once. */
function vegetaProgram() {
  const program = join(cache, 'vegeta');
  if (!existsSync(program)) {
    mkdirSync(cache, { recursive: true });
    execFileSync('go', ['install', 'github.com/tsenart/vegeta/v12@v12.12.0'], { env: { ...process.env, GOBIN: cache }, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return program;
}
