// Which files an agent has made and not yet deleted, so that the same creation is not told twice, as DeepFlow's
// file_mgmt reducer does. Unlike there, a name that a rename frees or takes is no longer the file that it was, another
// inode is another file, and what is remembered is bounded.

import type { FileOpEvent } from '../evidence/event.js';

const maxFiles = 65_536;

export class FileLifetimes {
  /** Inode by agent and path; the longest untouched make room. */
  readonly #created = new Map<string, number>();

  /** Takes part in what happens to files; whether this is a creation that has been told already. */
  isRepeated(event: FileOpEvent): boolean {
    if (event.errno !== 0) return false;
    const key = keyOf(event.rootPid, event.path);
    switch (event.operation) {
      case 'create': {
        const known = this.#created.get(key);
        this.#remember(key, event.inode);
        return known === event.inode;
      }
      case 'delete':
        this.#created.delete(key);
        return false;
      case 'rename':
        this.#created.delete(key);
        this.#created.delete(keyOf(event.rootPid, event.target ?? ''));
        return false;
      default:
        return false;
    }
  }

  #remember(key: string, inode: number): void {
    this.#created.delete(key);
    this.#created.set(key, inode);
    if (this.#created.size <= maxFiles) return;
    for (const oldest of this.#created.keys()) {
      this.#created.delete(oldest);
      return;
    }
  }
}

function keyOf(rootPid: number, path: string): string {
  return `${rootPid} ${path}`;
}
