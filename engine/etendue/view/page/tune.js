// Which of several kernels is the fastest here, found within a budget of time.

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
};

// `build(candidate)` compiles, `measure(built)` gives milliseconds of one run. The first candidate
// is always measured; the others are as long as half of the budget lasts. Then the better half is
// measured again and again until one is left or the time is over.
export async function tune({ candidates, build, measure, budget = 30000, now = () => performance.now() }) {
  const start = now(), spent = () => now() - start, rows = [];
  for (const candidate of candidates) {
    if (rows.length && spent() > budget / 2) break;
    const built = await build(candidate);
    await measure(built); // the first run pays for what is made when it is first needed
    rows.push({ candidate, built, times: [await measure(built)] });
  }
  const rank = (some) => [...some].sort((a, b) => median(a.times) - median(b.times));
  let left = rank(rows);
  while (left.length > 1 && spent() < budget) {
    left = left.slice(0, Math.ceil(left.length / 2));
    for (let round = 0; round < 2; round++)
      for (const row of left) if (spent() < budget) row.times.push(await measure(row.built));
    left = rank(left);
    if (left.length === 2 && left[0].times.length > 8) break;
  }
  const figures = rows.map((row) => ({ candidate: row.candidate, ms: median(row.times), runs: row.times.length }));
  return { best: left[0].candidate, built: left[0].built, rows: figures, spent: spent() };
}
