// What `agsight --help` costs over bare Node: both run in turn, so that the machine's mood hits both alike.
// Usage: node bench/startup.js [RUNS]

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const GOAL_MS = 25;
const runs = Number(process.argv[2] ?? 41);
const launcher = fileURLToPath(new URL('../bin/agsight.js', import.meta.url));

// Node reads this file of certificates at each start, which takes longer than all that is measured here.
const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;

/** @param {string[]} args */
function milliseconds(args) {
  const begin = process.hrtime.bigint();
  const { status } = spawnSync(process.execPath, args, { env, stdio: 'ignore' });
  if (status !== 0) throw new Error(`node ${args.join(' ')}: exit status ${status}`);
  return Number(process.hrtime.bigint() - begin) / 1e6;
}

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const bare = [];
const help = [];
for (let run = 0; run < runs; run++) {
  bare.push(milliseconds(['-e', '0']));
  help.push(milliseconds([launcher, '--help']));
}

const difference = median(help) - median(bare);
console.log(`node -e 0         ${median(bare).toFixed(1)} ms   median of ${runs}`);
console.log(`agsight --help    ${median(help).toFixed(1)} ms   median of ${runs}`);
console.log(`difference        ${difference.toFixed(1)} ms   goal: within ${GOAL_MS} ms`);
console.log(`ratio             ${(median(help) / median(bare)).toFixed(2)}`);
