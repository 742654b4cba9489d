// Where a message of HTTP/1.1 ends (RFC 9112 §6), told from its bytes as they come. What is not plain is odd, and nothing is said of its end.

/** The bytes of a head that are looked at. */
const longest = 256 * 1024;

export class Message {
  method = undefined;
  #head = '';
  /** How many bytes of the body, or of the chunk and its end, are still to come; undefined while the head is read. */
  #left = undefined;
  #chunked = false;
  #line = '';
  #isLast = false;

  /** @param request for an answer, the request that it is to */
  constructor(request) {
    this.request = request;
  }

  /** Takes the next bytes: `more` of them belong to this message, or it is `whole` with the last of them, or it is `odd`. */
  push(bytes) {
    if (this.#left !== undefined) return this.#body(bytes);
    this.#head += bytes.toString('latin1');
    for (;;) {
      const end = this.#head.indexOf('\r\n\r\n');
      if (end < 0) return this.#head.length > longest ? 'odd' : 'more';
      const [head, rest] = [this.#head.slice(0, end), this.#head.slice(end + 4)];
      const read = this.request ? this.#answer(head) : this.#request(head);
      if (read === 'interim') {
        this.#head = rest;
        continue;
      }
      if (read === 'odd') return 'odd';
      return this.#body(Buffer.from(rest, 'latin1'));
    }
  }

  #request(head) {
    const [, method] = /^([A-Z]+) \S+ HTTP\/1\.1\r\n/.exec(head) ?? [];
    const headers = headersOf(head);
    if (!method || !headers || headers.has('upgrade') || headers.has('expect')) return 'odd';
    this.method = method;
    return this.#frame(headers, 0);
  }

  #answer(head) {
    const [, status] = /^HTTP\/1\.1 (\d{3})(?: |\r\n|$)/.exec(head) ?? [];
    const headers = headersOf(head);
    if (!status || !headers || status === '101' || !this.request.method) return 'odd';
    if (status.startsWith('1')) return 'interim';
    if (this.request.method === 'HEAD' || status === '204' || status === '304') return (this.#left = 0);
    // Without a length it ends with its connection, and so does what is between the two.
    return this.#frame(headers, undefined);
  }

  #frame(headers, without) {
    const [length, coding] = [headers.get('content-length'), headers.get('transfer-encoding')];
    if (length !== undefined && coding !== undefined) return 'odd';
    if (coding !== undefined && coding.toLowerCase() !== 'chunked') return 'odd';
    if (length !== undefined && !/^\d{1,15}$/.test(length)) return 'odd';
    this.#chunked = coding !== undefined;
    this.#left = this.#chunked ? 0 : length === undefined ? without : Number(length);
    return this.#left === undefined ? 'odd' : 'framed';
  }

  #body(bytes) {
    if (this.#chunked) return this.#chunks(bytes);
    this.#left -= bytes.length;
    return this.#left > 0 ? 'more' : this.#left === 0 ? 'whole' : 'odd';
  }

  #chunks(bytes) {
    let at = 0;
    while (at < bytes.length) {
      const passed = Math.min(this.#left, bytes.length - at);
      this.#left -= passed;
      at += passed;
      if (passed > 0) continue;
      this.#line += String.fromCharCode(bytes[at++]);
      if (!this.#line.endsWith('\r\n')) continue;
      const line = this.#line.slice(0, -2);
      this.#line = '';
      if (this.#isLast && line === '') return at === bytes.length ? 'whole' : 'odd';
      if (this.#isLast) continue;
      if (!/^[0-9a-f]{1,12}$/i.test(line)) return 'odd';
      const size = parseInt(line, 16);
      this.#isLast = size === 0;
      this.#left = size === 0 ? 0 : size + 2;
    }
    return 'more';
  }
}

/** The headers by their names in small letters; undefined where a line is none, or a length or a coding is there twice. */
function headersOf(head) {
  const headers = new Map();
  for (const line of head.split('\r\n').slice(1)) {
    const [, name, value] = /^([!#$%&'*+.^`|~\w-]+):[ \t]*([^\r\n\0]*?)[ \t]*$/.exec(line) ?? [];
    if (!name) return undefined;
    const key = name.toLowerCase();
    if (headers.has(key) && /^(?:content-length|transfer-encoding|host)$/.test(key)) return undefined;
    headers.set(key, value);
  }
  return headers;
}
