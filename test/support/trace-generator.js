// Makes trace bundles of any size out of a small recorded one: more rounds of its tool call, in more threads. The
// reference accepts them.

import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const RECORDING = join(import.meta.dirname, '..', 'fixtures', 'bundles', 'recorded-exec.json.gz');

/** The events of the recording by their sequence numbers: what begins a thread, one round, what ends a thread. */
const OPENING = [2, 4, 6, 7, 8];
const ROUND = [9, 10, 11, 12, 13, 14, 15, 16];
const CLOSING = [20, 23];

/**
 * Writes a bundle into `dir`, which must not exist, and returns how many events and bytes it has.
 *
 * @param {string} dir
 * @param {object} size
 * @param {number} size.threads
 * @param {number} size.rounds tool calls in each thread
 * @param {boolean} size.incremental whether a request holds only what is new, as over WebSocket, or the whole conversation
 */
export function generateTrace(dir, { threads, rounds, incremental }) {
  const { files } = JSON.parse(gunzipSync(readFileSync(RECORDING)).toString('utf8'));
  const fileText = (/** @type {string} */ path) => Buffer.from(files[path], 'latin1').toString('utf8');
  const manifest = JSON.parse(fileText('manifest.json'));
  const recorded = fileText('trace.jsonl').trimEnd().split('\n');
  const eventText = (/** @type {number} */ seq) => recorded[seq - 1] ?? '';
  const payloadOf = (/** @type {number} */ number) => JSON.parse(fileText(`payloads/${number}.json`));

  mkdirSync(join(dir, 'payloads'), { recursive: true });
  writeFileSync(join(dir, 'manifest.json'), files['manifest.json'], 'latin1');
  const log = openSync(join(dir, 'trace.jsonl'), 'w');
  let events = 0;
  let payloads = 0;
  let bytes = 0;

  const putPayload = (/** @type {string} */ text) => {
    const path = `payloads/${++payloads}.json`;
    writeFileSync(join(dir, path), text);
    bytes += text.length;
    return { raw_payload_id: `raw_payload:${payloads}`, path };
  };
  /**
   * Appends an event, renamed; its payload is the recorded one, renamed, or what `textOf` makes.
   *
   * @type {(seq: number, rename: (text: string) => string, textOf?: () => string) => void}
   */
  const put = (seq, rename, textOf) => {
    const event = JSON.parse(rename(eventText(seq)));
    event.seq = ++events;
    for (const ref of Object.values(event.payload)) {
      if (ref?.raw_payload_id === undefined) continue;
      const recordedText = () => rename(JSON.stringify(JSON.parse(fileText(ref.path)), null, 2));
      Object.assign(ref, putPayload((textOf ?? recordedText)()));
    }
    const line = `${JSON.stringify(event)}\n`;
    writeSync(log, line);
    bytes += line.length;
  };

  const { input: shown, ...request } = payloadOf(4);
  const [call, output] = payloadOf(10).input.slice(-2);
  const turnId = JSON.parse(eventText(4)).codex_turn_id;
  const inferenceId = JSON.parse(eventText(9)).payload.inference_call_id;
  put(1, String);
  for (let thread = 0; thread < threads; thread++) {
    const threadId = numbered(manifest.root_thread_id, thread);
    const inThread = (/** @type {string} */ text) =>
      text
        .replaceAll(manifest.root_thread_id, threadId)
        .replaceAll(turnId, numbered(turnId, thread))
        .replaceAll(`"rollout_id":"${threadId}"`, `"rollout_id":"${manifest.rollout_id}"`)
        .replace('"/root"', thread === 0 ? '"/root"' : `"/root/copy_${thread}"`);
    for (const seq of OPENING) put(seq, inThread);
    const head = Object.entries(request);
    let items = shown.map((/** @type {object} */ item) => inThread(JSON.stringify(item, null, 2)));
    let previous = null;
    for (let round = 0; round < rounds; round++) {
      const place = `${thread}_${round}`;
      const inRound = (/** @type {string} */ text) =>
        inThread(text)
          .replaceAll('call_exec_1', `call_${place}`)
          .replaceAll(inferenceId, numbered(inferenceId, thread * rounds + round))
          .replaceAll('"resp_0"', `"resp_${place}"`)
          .replaceAll(output.id, `fco_${place}`)
          .replaceAll('"2080"', `"${10_000 + round}"`)
          .replaceAll('echo hello', `echo ${place}`);
      const members = [
        ...head.slice(0, 2).map(([key, value]) => `"${key}": ${JSON.stringify(value)}`),
        ...(previous === null ? [] : [`"previous_response_id": "${previous}"`]),
        `"input": [\n${items.join(',\n')}\n]`,
        ...head.slice(2).map(([key, value]) => `"${key}": ${JSON.stringify(value)}`),
      ];
      for (const seq of ROUND) {
        put(seq, inRound, seq === ROUND[0] ? () => `{\n${inThread(members.join(',\n'))}\n}` : undefined);
      }
      const [called, answered] = [call, output].map((item) => inRound(JSON.stringify(item, null, 2)));
      if (incremental) previous = `resp_${place}`;
      items = incremental ? [answered] : [...items, called, answered];
    }
    for (const seq of CLOSING) put(seq, inThread);
  }
  for (const seq of [24, 25]) put(seq, String);
  closeSync(log);
  return { events, bytes };
}

/**
 * Another UUID for every number.
 *
 * @param {string} uuid
 * @param {number} number
 */
function numbered(uuid, number) {
  return number === 0 ? uuid : `${uuid.slice(0, 24)}${number.toString(16).padStart(12, '0')}`;
}
