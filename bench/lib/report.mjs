// Figures for people: the median of all rounds, how far they spread, and the ratio to the first peer.

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A Markdown table. */
export function table({ date, machine, rounds, seconds, versions, figures, latency }) {
  const rows = Object.entries(figures).flatMap(([work, peers]) => {
    const first = Object.values(peers)[0];
    return Object.entries(peers).map(([name, all]) => {
      const of = (key) => all.map((figure) => figure[key]);
      const cpu = of('cpu_us');
      const spread = `${Math.min(...cpu).toFixed(1)} to ${Math.max(...cpu).toFixed(1)}`;
      const ratio = (median(cpu) / median(first.map(({ cpu_us }) => cpu_us))).toFixed(2);
      return [work, versions[name.split('-')[0]] + (name.includes('-') ? ' + ext_authz' : ''), median(cpu).toFixed(1), spread, ratio, median(of('rps')).toFixed(0), median(of('memory_mib')).toFixed(1)];
    });
  });
  const head = ['work', 'proxy', 'CPU µs/request', 'spread', 'ratio', 'requests/s', 'resident MiB'];
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  const times = latency && `Consult at ${latency.rate} requests/s, half of the most: p50 ${latency.through.p50.toFixed(2)} ms (direct ${latency.direct.p50.toFixed(2)}), p99 ${latency.through.p99.toFixed(2)} ms (direct ${latency.direct.p99.toFixed(2)}).`;
  return [`${date}, ${machine}; ${rounds} rounds of ${seconds} s, one core for the proxy.`, '', ...lines, ...(times ? ['', times] : [])].join('\n');
}
