// HTTP/2 frames written by hand (RFC 9113 §4.1), for what no client library would send.

import net from 'node:net';

export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;
export const END_STREAM = 1;
export const END_HEADERS = 4;

export function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function number(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A string of HPACK (RFC 7541 §5.2), without Huffman coding. */
function text(value) {
  const length = value.length < 127 ? [value.length] : [127, ...varint(value.length - 127)];
  return Buffer.concat([Buffer.from(length), Buffer.from(value)]);
}

function varint(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return [...bytes, value];
}

/** A header that enters no table (RFC 7541 §6.2.2), or the dynamic one (§6.2.1). */
export function header(name, value, indexed = false) {
  return Buffer.concat([Buffer.from([indexed ? 0x40 : 0]), text(name), text(value)]);
}

/** The head of a request for the authority of a port. */
export function head(port, method = 'GET', path = '/page') {
  return Buffer.concat([header(':method', method), header(':scheme', 'http'), header(':path', path), header(':authority', `127.0.0.1:${port}`)]);
}

const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(SETTINGS, 0, 0)]);

/** Connects, and calls `attack(write, n)` for n = 0, 1, … as fast as the other side reads, until `stopped()` or the connection ends. */
export function assault(port, attack, stopped) {
  return new Promise((resolve) => {
    let round = 0;
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {}).on('close', () => resolve(round)).resume();
    const write = (...frames) => socket.write(Buffer.concat(frames));
    const step = () => {
      if (stopped() || socket.destroyed) return socket.destroy();
      let room = true;
      for (let i = 0; i < 50 && room && !socket.destroyed; i += 1) room = attack(write, round++) !== false;
      if (room) setImmediate(step);
      else if (!socket.destroyed) socket.once('drain', step);
    };
    socket.once('connect', () => {
      socket.write(PREFACE);
      step();
    });
  });
}
