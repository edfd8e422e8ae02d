// Whether `agsight capture` records all that a program moves, with the default ring and two CPUs: what the program made
// must be what is in the evidence and what was counted as lost, to the call and to the byte. Needs root and gcc.
// Usage: node bench/capture.js [SECONDS]

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEvidence } from '../dist/evidence/reader.js';
import { agsight, buildLoad, run } from './tls-load.js';

const seconds = Number(process.argv[2] ?? 5);
const KIB = 1024;
const sampleMs = 50;
/** USER_HZ */
const ticksPerSecond = 100;

const loads = [
  { name: '50,000 calls/s of 1 KiB', bytes: KIB, perSecond: 50_000, goal: 'none lost' },
  { name: '12,800 calls/s of 16 KiB (210 MB/s)', bytes: 16 * KIB, perSecond: 12_800, goal: 'none lost' },
  { name: '1 KiB at full speed', bytes: KIB, perSecond: 0, calls: 60_000 * seconds, goal: 'all counted' },
  {
    name: '16 KiB at full speed',
    bytes: 16 * KIB,
    perSecond: 0,
    calls: 15_000 * seconds,
    goal: 'all counted',
  },
];

const directory = mkdtempSync(join(tmpdir(), 'agsight-bench-'));
const program = buildLoad(directory);

/**
 * CPU time of a process without its children, as far as the last sample tells.
 *
 * @param {number} pid
 */
function watchCpu(pid) {
  let ticks = 0;
  const timer = setInterval(() => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      ticks = Number(fields[11]) + Number(fields[12]);
    } catch {
      // It has ended.
    }
  }, sampleMs);
  return {
    stop() {
      clearInterval(timer);
      return ticks / ticksPerSecond;
    },
  };
}

/** @param {string} bundle */
async function countRecorded(bundle) {
  let records = 0;
  let bytes = 0;
  let reported = 0;
  for await (const event of readEvidence(bundle)) {
    if (event.kind !== 'tls') continue;
    if (event.missing > 0) reported += 1;
    else records += 1;
    bytes += event.data.length;
  }
  return { records, bytes, reported };
}

let failed = false;
console.log(`${cpus().length} CPUs, the default ring, ${seconds} s each\n`);
try {
  for (const { name, bytes, perSecond, calls = perSecond * seconds, goal } of loads) {
    const bundle = join(directory, 'bundle');
    const command = [program, 'write', `${bytes}`, `${calls}`, ...(perSecond === 0 ? [] : [`${perSecond}`])];
    /** @type {ReturnType<typeof watchCpu> | undefined} */
    let cpu;
    const { stdout, stderr } = await run(
      [process.execPath, agsight, 'capture', '--raw', '--no-files', '-o', bundle, '--', ...command],
      process.env,
      (pid) => {
        cpu = watchCpu(pid);
      },
    );
    const cpuSeconds = cpu?.stop() ?? Number.NaN;
    const [made = Number.NaN, ns = Number.NaN] = stdout.split(' ').map(Number);
    if (Number.isNaN(made)) throw new Error(`the load did not run: ${stderr.trim()}`);
    const { counters } = JSON.parse(readFileSync(join(bundle, 'capture.json'), 'utf8'));
    const recorded = await countRecorded(bundle);
    rmSync(bundle, { recursive: true });

    const dropped = counters.tls_ring_full + counters.calls_full + counters.connections_full;
    const isReconciled =
      made === recorded.records + recorded.reported + dropped && recorded.bytes === recorded.records * bytes;
    const isMet = isReconciled && (goal !== 'none lost' || dropped + recorded.reported === 0);
    failed ||= !isMet;
    const took = ns / 1e9;
    console.log(
      [
        name,
        `  made ${made} calls in ${took.toFixed(2)} s: ${(made / took).toFixed(0)}/s, ${((made * bytes) / took / 1e6).toFixed(0)} MB/s`,
        `  recorded ${recorded.records}, dropped ${dropped}, unreadable ${recorded.reported}: ${isReconciled ? 'adds up' : 'DOES NOT ADD UP'}`,
        `  agsight took ${cpuSeconds.toFixed(2)} s of CPU in all   goal: ${goal}, ${isMet ? 'met' : 'MISSED'}`,
      ].join('\n'),
    );
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
if (failed) process.exitCode = 1;
