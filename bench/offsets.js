// What `agsight offsets --tier pattern` costs on the largest official Codex, beside sha256sum of the same file and
// beside what it takes without agsight: nm, readelf -n and a scan for the version in Python. All in turn, so that
// the machine's mood hits all alike. Needs python3, binutils and coreutils.
// Usage: node bench/offsets.js [RUNS] [BINARY]

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { fetchCodex } from '../test/support/codex-package.js';

const GOAL_RATIO = 2;
const GOAL_MIB = 64;
const runs = Number(process.argv[2] ?? 7);
const binary = process.argv[3] ?? (await fetchCodex('0.169.0', { arch: 'x64', report: console.error }));
const launcher = fileURLToPath(new URL('../bin/agsight.js', import.meta.url));

/** Runs its arguments and prints seconds and the peak memory of the largest process in KiB. */
const MEASURE = `
import json, resource, subprocess, sys, time
begin = time.monotonic()
for command in json.loads(sys.argv[1]):
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds = time.monotonic() - begin
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
`;

/** The scan of a script that knows no offsets: whole chunks, a pattern that may stand across two of them is lost. */
const SCAN = `
import re, sys
pattern = re.compile(rb"codex-cli (\\\\d+\\\\.\\\\d+\\\\.\\\\d+)|rust-v(\\\\d+\\\\.\\\\d+\\\\.\\\\d+)")
with open(sys.argv[1], "rb") as file:
    while chunk := file.read(1 << 20):
        if pattern.search(chunk):
            break
`.replaceAll('\\\\', '\\');

/** @type {{ name: string, commands: string[][], samples: number[][] }[]} */
const contestants = [
  { name: 'node -e 0', commands: [[process.execPath, '-e', '0']], samples: [] },
  {
    name: 'agsight offsets --tier pattern',
    commands: [[process.execPath, launcher, 'offsets', '--tier', 'pattern', '--json', binary]],
    samples: [],
  },
  { name: 'sha256sum', commands: [['sha256sum', binary]], samples: [] },
  {
    name: 'nm, nm -D, readelf -n, Python scan',
    commands: [
      ['nm', '--defined-only', binary],
      ['nm', '-D', '--defined-only', binary],
      ['readelf', '-n', binary],
      ['python3', '-c', SCAN, binary],
    ],
    samples: [],
  },
];

// Node reads this file of certificates at each start, which has nothing to do with what is measured here.
const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;

for (let run = 0; run < runs; run++) {
  for (const { name, commands, samples } of contestants) {
    const { status, stdout, stderr } = spawnSync('python3', ['-c', MEASURE, JSON.stringify(commands)], {
      encoding: 'utf8',
      env,
    });
    if (status !== 0) throw new Error(`${name}: ${stderr}`);
    samples.push(JSON.parse(stdout));
  }
}

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const [bare, ours, sha, script] = contestants.map(({ name, samples }) => {
  const seconds = median(samples.map(([value = Number.NaN]) => value));
  const mebibytes = Math.max(...samples.map(([, kibibytes = Number.NaN]) => kibibytes)) / 1024;
  console.log(`${name.padEnd(36)}${seconds.toFixed(2)} s   ${mebibytes.toFixed(0)} MiB`);
  return { seconds, mebibytes };
});
if (bare === undefined || ours === undefined || sha === undefined || script === undefined) throw new Error();

console.log(`median of ${runs} runs, peak memory of all, ${binary}`);
console.log(`beside sha256sum    ${(ours.seconds / sha.seconds).toFixed(2)}   goal: at most ${GOAL_RATIO}`);
console.log(`beside the script   ${(ours.seconds / script.seconds).toFixed(2)}   goal: below 1`);
console.log(
  `memory above Node   ${(ours.mebibytes - bare.mebibytes).toFixed(0)} MiB   goal: at most ${GOAL_MIB} MiB`,
);
