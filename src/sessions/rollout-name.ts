// The names of rollout files, by the rule that Codex itself applies (codex-rs/rollout/src/list.rs). Owns the
// name only: what the file holds is rollout-file.ts.

export interface RolloutName {
  /** The UUID in the name, lower case with hyphens. It is the thread's id, not the session's. */
  threadId: string;
  /** Local time at which the file was created, `2026-11-20T12:18:19`. */
  localTime: string;
  /** The file is a `.jsonl.zst`. */
  compressed: boolean;
}

const PREFIX = 'rollout-';
const SUFFIX = '.jsonl';
const COMPRESSED_SUFFIX = '.jsonl.zst';
const STAMP = /^\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}$/;
const HYPHENATED = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const WRAPPED = /^(?:\{(.{36})\}|urn:uuid:(.{36}))$/;
const SIMPLE = /^[0-9a-f]{32}$/;

/** The parts of a rollout file's base name; undefined for any other name. */
export function parseRolloutName(name: string): RolloutName | undefined {
  const compressed = name.endsWith(COMPRESSED_SUFFIX);
  const suffix = compressed ? COMPRESSED_SUFFIX : SUFFIX;
  if (!name.startsWith(PREFIX) || !name.endsWith(suffix)) return undefined;
  const core = name.slice(PREFIX.length, -suffix.length);
  // The shortest text behind a hyphen that is a UUID: a hyphenated UUID has hyphens of its own.
  for (let hyphen = core.lastIndexOf('-'); hyphen > 0; hyphen = core.lastIndexOf('-', hyphen - 1)) {
    const threadId = parseUuid(core.slice(hyphen + 1));
    if (threadId === undefined) continue;
    const localTime = parseStamp(core.slice(0, hyphen));
    return localTime === undefined ? undefined : { threadId, localTime, compressed };
  }
  return undefined;
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

function parseStamp(text: string): string | undefined {
  if (!STAMP.test(text)) return undefined;
  const time = text.replace(/(\d{2})-(\d{2})-(\d{2})$/, '$1:$2:$3');
  // A day or hour that does not exist comes back as another one, or not at all.
  const milliseconds = Date.parse(`${time}Z`);
  const exists = !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString().startsWith(time);
  return exists ? time : undefined;
}
