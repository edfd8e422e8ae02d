// The names of rollout files, by the rule that Codex itself applies (codex-rs/rollout/src/list.rs). Owns the
// name only: what the file holds is rollout-file.ts.

/** `jsonl`: lines. `zst`: the same, compressed. `json`: one document, by the first Codex, in TypeScript. */
type RolloutForm = 'jsonl' | 'zst' | 'json';

export interface RolloutName {
  /** The UUID in the name, lower case with hyphens. It is the thread's id, not the session's. */
  threadId: string;
  /** Local time at which the file was created, `2026-11-20T12:18:19`; the day alone in the name of a `json`. */
  localTime: string;
  form: RolloutForm;
}

const PREFIX = 'rollout-';
const PLAIN_SUFFIX = '.jsonl';
const COMPRESSED_SUFFIX = '.jsonl.zst';
const SUFFIXES: readonly [string, RolloutForm][] = [
  [COMPRESSED_SUFFIX, 'zst'],
  [PLAIN_SUFFIX, 'jsonl'],
  ['.json', 'json'],
];
const STAMP = /^\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}$/;
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const HYPHENATED = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const WRAPPED = /^(?:\{(.{36})\}|urn:uuid:(.{36}))$/;
const SIMPLE = /^[0-9a-f]{32}$/;

/** The parts of a rollout file's base name; undefined for any other name. */
export function parseRolloutName(name: string): RolloutName | undefined {
  const [suffix, form] = SUFFIXES.find(([ending]) => name.endsWith(ending)) ?? [];
  if (suffix === undefined || form === undefined || !name.startsWith(PREFIX)) return undefined;
  const core = name.slice(PREFIX.length, -suffix.length);
  // The shortest text behind a hyphen that is a UUID: a hyphenated UUID has hyphens of its own.
  for (let hyphen = core.lastIndexOf('-'); hyphen > 0; hyphen = core.lastIndexOf('-', hyphen - 1)) {
    const threadId = parseUuid(core.slice(hyphen + 1));
    if (threadId === undefined) continue;
    const localTime = parseStamp(core.slice(0, hyphen), form);
    return localTime === undefined ? undefined : { threadId, localTime, form };
  }
  return undefined;
}

/** The plain and the compressed path of a rollout, of which Codex keeps one at a time. */
export function representations(path: string): { plain: string; compressed: string } {
  const isCompressed = path.endsWith(COMPRESSED_SUFFIX);
  const plain = isCompressed ? path.slice(0, -COMPRESSED_SUFFIX.length) + PLAIN_SUFFIX : path;
  return { plain, compressed: isCompressed ? path : `${path}.zst` };
}

/**
 * A UUID in any spelling that Rust's `Uuid::parse_str` takes (hyphenated, 32 digits, `urn:uuid:`, braces),
 * in lower case with hyphens.
 */
export function parseUuid(text: string): string | undefined {
  const wrapped = WRAPPED.exec(text);
  const hyphenated = (wrapped?.[1] ?? wrapped?.[2] ?? text).toLowerCase();
  if (HYPHENATED.test(hyphenated)) return hyphenated;
  const simple = text.toLowerCase();
  if (!SIMPLE.test(simple)) return undefined;
  return [8, 12, 16, 20, 32].map((end, part, ends) => simple.slice(ends[part - 1] ?? 0, end)).join('-');
}

/** Milliseconds since the epoch at which a UUIDv7 was made; undefined for other UUIDs. */
export function uuidTime(uuid: string): number | undefined {
  if (!HYPHENATED.test(uuid) || uuid[14] !== '7') return undefined;
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}

function parseStamp(text: string, form: RolloutForm): string | undefined {
  const isDay = form === 'json' && DAY.test(text);
  if (!isDay && !STAMP.test(text)) return undefined;
  const time = text.replace(/T(\d{2})-(\d{2})-(\d{2})$/, 'T$1:$2:$3');
  // A day or hour that does not exist comes back as another one, or not at all.
  const milliseconds = Date.parse(isDay ? time : `${time}Z`);
  const exists = !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString().startsWith(time);
  return exists ? time : undefined;
}
