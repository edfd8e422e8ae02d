// Gathers what the given paths hold: rollout files, each once, and bundles with the rollout files of their
// threads. Owns the order of reading; how it is all put together is session-map.ts.
import { existsSync, type Stats, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AgsightError, systemErrorCode } from '../errors.js';
import type { EvidenceAnomaly } from '../evidence/reader.js';
import { ItemOwners, isNamed } from './attribution.js';
import { type BundleThread, isBundle, readHomes, readTraceThreads } from './bundle-threads.js';
import { type MappedExchange, type MappedProcess, mapCapture } from './captured-bundle.js';
import type { Captured } from './captured-exchanges.js';
import { type Rollout, type RolloutOptions, readRollout } from './rollout-file.js';
import { parseRolloutName, parseUuid, representations } from './rollout-name.js';
import { byCreation, findRollouts, NOT_A_ROLLOUT_NAME, type SkippedFile } from './rollout-search.js';

interface OpenBundle {
  directory: string;
  captured: Captured;
}

export class Collection {
  readonly rollouts = new Map<string, Rollout>();
  readonly bundleThreads = new Map<string, BundleThread>();
  readonly processes: MappedProcess[] = [];
  readonly exchanges: MappedExchange[] = [];
  readonly skipped: SkippedFile[] = [];
  readonly #bundles: OpenBundle[] = [];
  /** Files to read, by device and inode. `isCandidate`: only because exchanges of a capture may be theirs. */
  readonly #wanted = new Map<string, { path: string; isCandidate: boolean }>();
  readonly #items = new ItemOwners();
  /** Exchanges name no thread: the items in rollout files may tell. */
  #needsItems = false;

  /** @throws AgsightError `not-found` or `unreadable` when the path cannot be used at all */
  async addPath(path: string): Promise<void> {
    const stats = statOf(path) ?? statOf(representations(path).compressed);
    if (stats === undefined) {
      throw new AgsightError('not-found', 'there is no such file or directory', {
        file: path,
        remedy: 'name a rollout file, a CODEX_HOME or a bundle',
      });
    }
    if (!stats.isDirectory()) {
      const isRollout = parseRolloutName(basename(path)) !== undefined;
      if (isRollout || /\.jsonl(?:\.zst)?$/.test(path)) this.#want(path, false);
      else this.skipped.push({ file: path, reason: NOT_A_ROLLOUT_NAME });
    } else if (isBundle(path)) {
      await this.#addBundle(path);
    } else {
      this.#wantDirectory(path, () => true);
    }
  }

  /** Reads all files that the paths have named. */
  async read(): Promise<void> {
    const isCandidate = new Map([...this.#wanted.values()].map((file) => [file.path, file.isCandidate]));
    const candidates = new Set<string>();
    for (const path of byCreation([...isCandidate.keys()])) {
      const threadId = await this.#read(path);
      if (threadId !== undefined && isCandidate.get(path) === true) candidates.add(threadId);
    }
    for (const { directory, captured } of this.#bundles) {
      const { threads, processes, exchanges } = mapCapture(directory, captured, this.#items);
      for (const thread of threads) this.#addBundleThread(thread);
      this.processes.push(...processes);
      this.exchanges.push(...exchanges);
    }
    for (const id of candidates) if (!this.bundleThreads.has(id)) this.rollouts.delete(id);
    await this.#readAgain();
  }

  /** @returns the thread that the file is of, unless it was skipped */
  async #read(path: string): Promise<string | undefined> {
    try {
      const rollout = await readRollout(path, this.#options());
      const other = rollout && this.rollouts.get(rollout.threadId);
      if (rollout === undefined) {
        const reason = 'is no rollout file: nothing in it says whose thread it is';
        this.skipped.push({ file: path, reason });
      } else if (other !== undefined) {
        this.skipped.push({ file: path, reason: `is of the same thread as ${other.path}` });
      } else {
        this.rollouts.set(rollout.threadId, rollout);
        this.#items.add(rollout.threadId, rollout.itemIds);
        return rollout.threadId;
      }
    } catch (cause) {
      const reason = `cannot be read: ${systemErrorCode(cause) ?? String(cause)}`;
      this.skipped.push({ file: path, reason });
    }
    return undefined;
  }

  #options(): RolloutOptions {
    return { countsOf: (id) => this.rollouts.get(id)?.counts, withItems: this.#needsItems };
  }

  /** Threads whose origin was read after them: a file with a wrong clock, or a copy with another name. */
  async #readAgain(): Promise<void> {
    for (const { path, missingOrigin } of [...this.rollouts.values()]) {
      if (missingOrigin === undefined || !this.rollouts.has(missingOrigin)) continue;
      const rollout = await readRollout(path, this.#options());
      if (rollout !== undefined) this.rollouts.set(rollout.threadId, rollout);
    }
  }

  async #addBundle(directory: string): Promise<void> {
    const homes = readHomes(directory, this.skipped);
    const isOurs = homes !== undefined;
    const named = new Set<string>();
    if (isOurs && existsSync(join(directory, 'evidence'))) {
      const captured = await this.#openBundle(directory);
      const ids = [
        ...captured.exchanges.map((exchange) => exchange.ids.threadId),
        ...captured.processes.map((process) => process.environmentThread),
      ];
      for (const id of ids) if (id !== undefined) named.add(parseUuid(id) ?? id);
      for (const home of homes) this.#wantHome(home, (id) => named.has(id), captured.startedMs ?? 0);
      return;
    }
    for (const thread of await readTraceThreads(directory, isOurs ? 'header' : 'trace', this.skipped)) {
      this.#addBundleThread(thread);
      named.add(thread.threadId);
    }
    for (const home of homes ?? []) this.#wantHome(home, (id) => named.has(id));
  }

  async #openBundle(directory: string): Promise<Captured> {
    const { readCaptured } = await import('./captured-exchanges.js');
    const captured = await readCaptured(directory);
    const evidence = join(directory, 'evidence');
    this.skipped.push(...describeDamage(evidence, captured.damage));
    for (const { kind, count } of captured.anomalies)
      this.skipped.push({ file: evidence, reason: `${kind}, ${count} times: agsight reduce tells more` });
    this.#needsItems ||= captured.exchanges.some(
      (exchange) => !isNamed(exchange) && exchange.answered.size + exchange.repeated.size > 0,
    );
    this.#bundles.push({ directory, captured });
    return captured;
  }

  #addBundleThread(thread: BundleThread): void {
    const known = this.bundleThreads.get(thread.threadId);
    if (known === undefined) this.bundleThreads.set(thread.threadId, thread);
    else known.responses.push(...thread.responses);
  }

  #wantHome(home: string, isNamed: (threadId: string) => boolean, startedMs?: number): void {
    try {
      this.#wantDirectory(home, isNamed, startedMs);
    } catch (error) {
      if (!(error instanceof AgsightError)) throw error;
      this.skipped.push({ file: home, reason: error.message });
    }
  }

  /** @param startedMs the start of a capture whose exchanges may be in files that are not wanted otherwise */
  #wantDirectory(directory: string, isWanted: (threadId: string) => boolean, startedMs?: number): void {
    const { files, skipped } = findRollouts(directory);
    const isOurs = (path: string) => {
      const threadId = parseRolloutName(basename(path))?.threadId;
      return threadId === undefined || isWanted(threadId);
    };
    this.skipped.push(...skipped.filter(({ file }) => isOurs(file)));
    for (const path of files) {
      if (isOurs(path)) this.#want(path, false);
      // A file that was not written since the capture began holds nothing of it.
      else if (this.#needsItems && (statOf(path)?.mtimeMs ?? 0) >= (startedMs ?? Infinity))
        this.#want(path, true);
    }
  }

  #want(path: string, isCandidate: boolean): void {
    const { plain } = representations(path);
    const actual = plain !== path && existsSync(plain) ? plain : path;
    const stats = statOf(actual);
    if (stats !== undefined && !stats.isFile()) {
      this.skipped.push({ file: path, reason: 'is no regular file' });
      return;
    }
    const key = stats === undefined ? actual : `${stats.dev}:${stats.ino}`;
    const known = this.#wanted.get(key);
    if (known === undefined) this.#wanted.set(key, { path: actual, isCandidate });
    else known.isCandidate &&= isCandidate;
  }
}

/** Undefined when there is nothing. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new AgsightError('unreadable', `cannot be read: ${code ?? String(cause)}`, {
      file: path,
      remedy: 'check the path and its permissions',
      cause,
    });
  }
}

/** The first damage of each kind in each segment, with the number of others: one bad disk makes thousands. */
function describeDamage(evidence: string, damage: readonly EvidenceAnomaly[]): SkippedFile[] {
  const groups = new Map<string, EvidenceAnomaly[]>();
  for (const found of damage) {
    const key = `${found.segment} ${found.kind}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [found]);
    else group.push(found);
  }
  return [...groups.values()].flatMap(([first, ...others]) => {
    if (first === undefined) return [];
    const more = others.length === 0 ? '' : `, and ${others.length} more of its kind`;
    return [{ file: join(evidence, first.segment), reason: `byte ${first.place}: ${first.detail}${more}` }];
  });
}
