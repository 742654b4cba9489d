// Programs that are measured: started on one core, looked at through /proc, ended by their pid.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { createWriteStream, readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
const running = new Set();

/** A program on the core of this number. */
export class Program {
  constructor(name, core, command, args, { run, env } = {}) {
    this.name = name;
    this.run = run;
    const log = createWriteStream(join(run, `${name}.log`));
    this.child = spawn('taskset', ['-c', String(core), command, ...args], { cwd: run, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout.pipe(log);
    this.child.stderr.pipe(log);
    this.ended = new Promise((resolve) => this.child.once('exit', (code, signal) => resolve(this.over = { code, signal })));
    running.add(this);
  }

  /** Seconds of CPU time of all its processes, to about a microsecond. */
  cpu() {
    return this.#pids().reduce((sum, pid) => sum + cpuOf(pid), 0);
  }

  /** Resident memory of all its processes, in bytes. */
  memory() {
    return this.#pids().reduce((sum, pid) => sum + Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024, 0);
  }

  /** Has perf look at it for so many seconds; a build with symbols and frame pointers has the best view. */
  async profile(seconds) {
    const file = join(this.run, `${this.name}-${this.child.pid}.perf`);
    await promisify(execFile)('perf', ['record', '-q', '-F', '997', '-g', '-p', this.#pids().join(), '-o', file, '--', 'sleep', String(seconds)]);
  }

  async stop() {
    running.delete(this);
    if (!this.over) this.child.kill('SIGTERM');
    await this.ended;
  }

  #pids() {
    const pids = [this.child.pid];
    for (const pid of pids) pids.push(...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number));
    return pids;
  }
}

/** `sched_run_time` counts in nanoseconds, `stat` in ticks of 10 ms. */
function cpuOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9, 0);
  } catch {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / ticks;
  }
}

export async function stopAll() {
  await Promise.all([...running].map((program) => program.stop()));
}

/** Ports that were free a moment ago. */
export async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, () => new Promise((resolve) => {
      const server = net.createServer().listen(0, '127.0.0.1', () => resolve(server));
    })),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Waits until `path` is answered with 200; the milliseconds that it took. */
export async function answering(port, path, program, limit = 10_000) {
  const began = performance.now();
  for (;;) {
    if (await status(port, path) === 200) return performance.now() - began;
    if (program.over) throw new Error(`${program.name} ended with ${JSON.stringify(program.over)}; its log is beside its configuration`);
    if (performance.now() - began > limit) throw new Error(`${program.name} does not answer on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function status(port, path) {
  return new Promise((resolve) => {
    http
      .get({ host: '127.0.0.1', port, path, agent: false }, (answer) => {
        answer.resume();
        answer.once('end', () => resolve(answer.statusCode));
      })
      .once('error', () => resolve(undefined));
  });
}
