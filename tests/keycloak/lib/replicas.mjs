// Two processes of the program under test behind one address, with one file, one set of keys and one audit in PostgreSQL. Each request goes to one
// of them at random.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { dashboardOf } from './dashboard.mjs';
import { sql } from './postgres.mjs';
import { freePorts, until } from './processes.mjs';
import { Spreader, randomOf } from './spreader.mjs';
import { Tollgate } from './tollgate.mjs';
import { send } from './wire.mjs';

const count = 2;
let serial = 0;

/** The program under test: one process, or, where PostgreSQL runs for the suites, replicas. */
export const gate = (folder, options) => (process.env.POSTGRES ? new Replicas(folder, options) : new Tollgate(folder, options));

export class Replicas extends Tollgate {
  constructor(folder, options) {
    serial += 1;
    const schema = `suite_${process.pid}_${serial}`;
    super(folder, { ...options, store: `${process.env.POSTGRES}?options=-csearch_path%3D${schema}` });
    this.schema = schema;
    this.random = randomOf(Number(process.env.SPREAD_SEED) + serial);
    this.requests = Array(count).fill(0);
    this.members = [];
  }

  /** The addresses of each, for what has to be asked of a certain one; to be asked by the name of the front door. */
  get origins() {
    return this.members.map(({ port }) => `http://127.0.0.1:${port}`);
  }

  get children() {
    return this.members.map(({ child }) => child);
  }

  get logs() {
    return this.members.map(({ log }) => log);
  }

  /** Starts those that are not running. `answers` is the request by which the front door is known to be open. */
  async start(answers) {
    if (this.members.length === 0) {
      const ports = await freePorts(count);
      this.members = ports.map((port, index) => ({ port, log: index === 0 ? this.log : join(this.folder, `tollgate-${index + 1}.log`) }));
      await sql(process.env.POSTGRES, `CREATE SCHEMA ${this.schema}`);
    }
    for (const member of this.members.filter(({ child }) => !child?.running)) member.child = this.spawn(member.log, { TOLLGATE_LISTEN__ADDRESS: `127.0.0.1:${member.port}` });
    for (const { child, log } of this.members) {
      await this.until(child, `its dashboard is ready (its log is ${log})`, async () => {
        const dashboard = dashboardOf(child);
        return dashboard && (await send(dashboard, { target: '/readyz' }).catch(() => undefined))?.status === 200;
      });
    }
    this.spreader ??= await Spreader.open(Number(this.options.port), this.members.map(({ port }) => port), this.random);
    const { host } = new URL(this.origin);
    const each = this.origins.map((origin) => () => this.isOpen(origin, { Host: host }));
    for (const [index, open] of (answers ? [answers] : each).entries()) await this.until(this.children[index], `Tollgate answers (its log is ${this.logs[index]})`, open);
  }

  async stop(signal) {
    const [how] = await Promise.all(this.children.map((child) => child.end(signal)));
    if (this.spreader) {
      this.spreader.close();
      this.requests = this.requests.map((sum, index) => sum + this.spreader.requests[index]);
      this.spreader = undefined;
      writeFileSync(join(this.folder, 'spread.json'), JSON.stringify(this.requests));
      await this.#dump();
    }
    return how;
  }

  /** Ends one of them as a crash would; the others go on. */
  kill() {
    return this.children[Math.floor(this.random() * count)].end('SIGKILL');
  }

  /** Changes what the audit has, past Tollgate. */
  async tamper(from, to) {
    const changed = await sql(this.options.store, `UPDATE tollgate_audit_record SET body = replace(body, '${from}', '${to}') WHERE position('${from}' IN body) > 0 RETURNING seq`);
    if (!changed) throw new Error('the record is not where it was expected');
  }

  /** Leaves all that is in the database, to be searched for secrets. */
  async #dump() {
    const tables = (await sql(this.options.store, `SELECT tablename FROM pg_tables WHERE schemaname = '${this.schema}'`)).split('\n').filter(Boolean);
    const texts = await Promise.all(tables.map((table) => sql(this.options.store, `SELECT * FROM ${table}`)));
    writeFileSync(join(this.folder, 'audit.txt'), texts.join('\n'));
  }
}
