// Ports, waiting, and child processes that are ended by their own pid.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, openSync } from 'node:fs';
import net from 'node:net';

/** Waits until `probe` gives something true and returns it; fails with `what` after `limit` milliseconds. */
export async function until(what, probe, limit = 20_000) {
  const deadline = Date.now() + limit;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${limit} ms in vain: ${what}`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

async function isFree(port) {
  const server = net.createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

/** `count` neighbouring free ports below the range that the system hands out by itself, so that they stay free until they are used. */
export async function freePorts(count) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const ports = Array.from({ length: count }, (_, i) => first + i);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return ports;
  }
  throw new Error(`found no ${count} free ports in a row`);
}

/** A background process that writes to a log file. */
export class Child {
  constructor(command, args, { log, env = {}, cwd } = {}) {
    const out = openSync(log, 'a');
    this.command = [command, ...args].join(' ');
    this.log = log;
    /** Where in the log this process begins. */
    this.begins = fstatSync(out).size;
    this.process = spawn(command, args, { stdio: ['ignore', out, out], env: { ...process.env, ...env }, cwd });
    // A suite that breaks off leaves nobody behind.
    const orphan = () => this.process.kill('SIGKILL');
    process.once('exit', orphan);
    this.ended = new Promise((resolve) => {
      this.process.once('error', (error) => resolve({ error }));
      this.process.once('exit', (code, signal) => {
        process.removeListener('exit', orphan);
        resolve({ code, signal });
      });
    });
  }

  get pid() {
    return this.process.pid;
  }

  get running() {
    return this.process.exitCode === null && this.process.signalCode === null && this.pid !== undefined;
  }

  /** Ends it with `signal`, waits, and says how it ended; SIGKILL after `patience` milliseconds. */
  async end(signal = 'SIGTERM', patience = 20_000) {
    if (this.running) this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), patience);
    const how = await this.ended;
    clearTimeout(timer);
    return how;
  }
}

/** Runs a command to its end: `{ code, stdout, stderr }`. */
export async function run(command, args, { env = {}, cwd } = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env }, cwd });
  const out = [];
  const err = [];
  child.stdout.on('data', (chunk) => out.push(chunk));
  child.stderr.on('data', (chunk) => err.push(chunk));
  const [code] = await once(child, 'close');
  return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}
