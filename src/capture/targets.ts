// Whom a capture follows: the processes that were given, those whose names match, and what they start. Tells the kernel
// program, and knows when all of them have ended.

import { basename } from 'node:path';
import type { FollowOptions, KernelProgram } from '../bpf/kernel-program.js';
import type { NamePattern } from './name-pattern.js';
import { allProcesses, children, commandName, executable, isAlive } from './process.js';

export interface TargetOptions {
  names: readonly NamePattern[];
  /** Every process of the machine is followed. */
  everybody: boolean;
  follow: FollowOptions;
  /** Told of each process that is followed from now on. */
  onFollow?: ((pid: number) => void) | undefined;
}

export class Targets {
  readonly #program: KernelProgram;
  readonly #options: TargetOptions;
  /** Targets that were not met as the children of others, whether or not they still run. */
  readonly #roots = new Set<number>();
  readonly #alive = new Set<number>();
  readonly #descendants = new Map<number, number>();

  constructor(program: KernelProgram, options: TargetOptions) {
    this.#program = program;
    this.#options = options;
  }

  /** In the order in which they were met. */
  get roots(): readonly number[] {
    return [...this.#roots];
  }

  /** What the roots had started when they were added, with the root of each. */
  get descendants(): ReadonlyMap<number, number> {
    return new Map([...this.#descendants].filter(([pid]) => !this.#roots.has(pid)));
  }

  /** Whether none is left that could do anything more. Names may always come again. */
  get areOver(): boolean {
    const { names, everybody } = this.#options;
    return this.#alive.size === 0 && names.length === 0 && !everybody;
  }

  get areAlive(): boolean {
    return this.#alive.size > 0;
  }

  /** Follows a process and what it has started. */
  add(pid: number): void {
    this.#roots.add(pid);
    this.#alive.add(pid);
    this.#followTree(pid, pid, new Set());
  }

  /**
   * Follows every process whose name matches, now and later. The kernel takes in whoever begins with the literal part of
   * a name: `admit` decides on those.
   *
   * @returns those that run now
   */
  watchNames(): number[] {
    if (this.#options.names.length === 0) return [];
    // First the kernel, then those that run: nobody is met by neither.
    this.#program.watchNames(
      this.#options.names.map(({ head }) => head),
      this.#options.follow,
    );
    const found = allProcesses().filter((pid) => !this.#roots.has(pid) && this.#isNamed(pid));
    for (const pid of found) this.add(pid);
    return found;
  }

  /**
   * Follows every process but this one, without a root, and what they start; what this one starts is not followed.
   *
   * @returns those that run now
   */
  watchEverybody(): number[] {
    const followed = new Set<number>();
    for (;;) {
      // Whoever was begun by a process that was not followed yet is met in the next round.
      const found = allProcesses().filter((pid) => pid !== process.pid && !followed.has(pid));
      if (found.length === 0) return [...followed].filter((pid) => executable(pid) !== undefined);
      for (const pid of found) {
        followed.add(pid);
        this.#program.follow(pid, 0, this.#options.follow);
        this.#options.onFollow?.(pid);
      }
    }
  }

  /** The kernel follows `pid` as a root for its name. Returns whether it is a target, and lets it go if not. */
  admit(pid: number, comm: string): boolean {
    if (this.#roots.has(pid)) return true;
    if (!this.#isNamed(pid, comm)) {
      this.#program.unfollow(pid);
      return false;
    }
    this.#roots.add(pid);
    this.#alive.add(pid);
    this.#options.onFollow?.(pid);
    return true;
  }

  /** Whether an event of a process with this root is recorded. */
  accepts(rootPid: number): boolean {
    return this.#options.names.length === 0 || this.#roots.has(rootPid);
  }

  ended(pid: number): void {
    this.#alive.delete(pid);
  }

  /** For the case that the kernel's record of an end was lost. */
  forgetEnded(): void {
    for (const pid of this.#alive) if (!isAlive(pid)) this.#alive.delete(pid);
  }

  /** By what it was called when it began, and by its file unless it has ended already. */
  #isNamed(pid: number, comm = commandName(pid)): boolean {
    if (pid === process.pid) return false;
    const names = [comm, basename(executable(pid)?.replace(/ \(deleted\)$/, '') ?? '')];
    return this.#options.names.some((pattern) => names.some((name) => name !== '' && pattern.matches(name)));
  }

  /** The process first, then its children: whoever it forks in between is already followed by the kernel. */
  #followTree(pid: number, rootPid: number, seen: Set<number>): void {
    if (seen.has(pid)) return;
    seen.add(pid);
    this.#program.follow(pid, rootPid, this.#options.follow);
    this.#options.onFollow?.(pid);
    if (this.#options.follow.children === false) return;
    for (const child of children(pid)) {
      // Of a shell, for one. What we record of ourselves would be more to record.
      if (child === process.pid) continue;
      this.#descendants.set(child, rootPid);
      this.#followTree(child, rootPid, seen);
    }
  }
}
