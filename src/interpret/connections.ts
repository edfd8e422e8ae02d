// All connections of a capture: which bytes of the evidence are whose. OpenSSL's pieces name their connection; what an
// AEAD implementation sees is one direction each, put together by pairing.ts. Owns the contexts and their reuse.

import { basename } from 'node:path';
import type { EvidenceEvent, ExitEvent, SocketEvent, TlsEvent } from '../evidence/event.js';
import { ByteStream } from '../protocol/byte-stream.js';
import type { Close } from '../protocol/http1.js';
import { TlsRecordStream } from '../protocol/tls-record.js';
import type { Anomalies } from './anomalies.js';
import type { Place } from './direction.js';
import type { ExchangeRouter } from './observer.js';
import { Pairing } from './pairing.js';
import { Rekeying } from './rekeying.js';
import { beginsRequest, RequestStream } from './request-stream.js';
import { ResponseStream } from './response-stream.js';

type Direction = TlsEvent['direction'];

/** Where the bytes of one source in the evidence go. */
interface Finish {
  ended: boolean;
  timeNs: bigint;
  close?: Close;
  /** When the side that was first left, where that is known. */
  endedNs?: bigint | undefined;
  /** When the client last sent anything before that. */
  lastSentNs?: bigint | undefined;
}

interface Channel {
  readonly pid: number;
  push(event: TlsEvent): void;
  /** The connection is closed, the process is gone, or no more evidence comes. */
  finish(how: Finish): void;
}

export class Connections {
  readonly #route: ExchangeRouter;
  readonly #anomalies: Anomalies;
  readonly #channels = new Map<string, Channel>();
  readonly #pairings = new Map<number, Pairing>();
  /** By process and direction. */
  readonly #rekeyings = new Map<string, Rekeying<RequestStream | ResponseStream>>();
  /** What the processes run, by pid. */
  readonly #programs = new Map<number, string>();

  constructor(route: ExchangeRouter, anomalies: Anomalies) {
    this.#route = route;
    this.#anomalies = anomalies;
  }

  /** Takes the next event, of which most kinds say nothing of connections. Events come in the order of the evidence. */
  push(event: EvidenceEvent): void {
    if (event.kind === 'tls') this.#tls(event);
    else if (event.kind === 'socket' && event.operation === 'close') this.#closed(event);
    else if (event.kind === 'exit') this.#exit(event);
    else if (event.kind === 'exec' || event.kind === 'running')
      this.#programs.set(event.pid, basename(event.execPath));
  }

  #tls(event: TlsEvent): void {
    const isRecord = event.additionalData !== undefined;
    const key = isRecord ? `${event.connection} ${event.direction}` : `${event.connection}`;
    let channel = this.#channels.get(key);
    if (channel === undefined) {
      channel = isRecord
        ? this.#context(event)
        : new WholeConnection(this.#place(event), this.#route, this.#anomalies);
      this.#channels.set(key, channel);
    }
    channel.push(event);
  }

  /** A socket was closed: what was under way on it, or on the TLS connection that it carried, ends. */
  #closed({ connection, carries, endedBy, endedNs, lastSentNs, errno, timeNs }: SocketEvent): void {
    const isPlain = carries === 0n;
    // The end of a TLS connection is told within it, and a server that was told so may close before its client does.
    const byServer: Close = !isPlain ? 'unsure' : errno === 0 ? 'seen' : 'broken';
    const close = endedBy === 'there' ? byServer : 'unseen';
    const keys = isPlain ? [`${connection}`] : [`${carries}`, `${carries} receive`];
    for (const key of keys)
      this.#channels.get(key)?.finish({ ended: true, timeNs, close, endedNs, lastSentNs });
    if (isPlain) this.#channels.delete(`${connection}`);
  }

  /** The process is gone: what was under way on its connections ends. */
  #exit({ pid, timeNs }: ExitEvent): void {
    for (const [key, channel] of this.#channels) {
      if (channel.pid !== pid) continue;
      channel.finish({ ended: true, timeNs });
      this.#channels.delete(key);
    }
    this.#pairings.get(pid)?.giveUp();
    this.#pairings.delete(pid);
    this.#programs.delete(pid);
    for (const direction of ['send', 'receive']) this.#rekeyings.delete(`${pid} ${direction}`);
  }

  /** No more events come. What is under way stays so. */
  finish(): void {
    for (const channel of this.#channels.values()) channel.finish({ ended: false, timeNs: 0n });
    for (const pairing of this.#pairings.values()) pairing.giveUp();
  }

  /** A process that runs what its parent runs is known by the name of its thread. */
  #place({ pid, connection, comm }: TlsEvent): Place {
    const program = this.#programs.get(pid) ?? comm;
    return { pid, connection, program: program === '' ? undefined : program };
  }

  #context(first: TlsEvent): Channel {
    let pairing = this.#pairings.get(first.pid);
    if (pairing === undefined) {
      pairing = new Pairing(this.#anomalies);
      this.#pairings.set(first.pid, pairing);
    }
    const { pid, connection } = first;
    const place = this.#place(first);
    const rekeyingKey = `${pid} ${first.direction}`;
    const rekeying = this.#rekeyings.get(rekeyingKey) ?? new Rekeying();
    this.#rekeyings.set(rekeyingKey, rekeying);
    if (first.direction === 'receive') {
      const found = pairing;
      const begin = () =>
        new ResponseStream(place, (stream, answer) => found.partner(stream, answer), this.#anomalies);
      return new AeadContext(first, begin, rekeying, this.#anomalies, () => found.opened(connection));
    }
    const requests = pairing;
    const begin = () => requests.add(new RequestStream(place, this.#route, this.#anomalies));
    return new AeadContext(first, begin, rekeying, this.#anomalies);
  }
}

/** Both directions, as a library that owns the connection tells them. */
class WholeConnection implements Channel {
  readonly pid: number;
  readonly #anomalies: Anomalies;
  readonly #requests: RequestStream;
  readonly #responses: ResponseStream;
  readonly #streams: Record<Direction, ByteStream>;
  #isOver = false;
  /** What was received while it is not known whether it begins a request; afterwards undefined. */
  #beginning: TlsEvent[] | undefined = [];
  #isServed = false;
  /** When what was written last was sent. */
  #sentNs: bigint | undefined;

  constructor(place: Place, route: ExchangeRouter, anomalies: Anomalies) {
    this.pid = place.pid;
    this.#anomalies = anomalies;
    this.#requests = new RequestStream(place, route, anomalies);
    this.#responses = new ResponseStream(place, () => this.#requests, anomalies, this.#requests);
    this.#streams = { send: new ByteStream(this.#requests), receive: new ByteStream(this.#responses) };
  }

  push(event: TlsEvent): void {
    if (this.#beginning !== undefined) this.#begin(event, this.#beginning);
    else if (!this.#isServed) this.#take(event);
  }

  /** Who receives a request first is the server. */
  #begin(event: TlsEvent, held: TlsEvent[]): void {
    const isReceived = event.direction === 'receive' && event.missing === 0;
    const isRequest = isReceived && beginsRequest(Buffer.concat([...held, event].map(({ data }) => data)));
    if (isRequest === undefined) {
      held.push({ ...event, data: Uint8Array.from(event.data) });
      return;
    }
    this.#beginning = undefined;
    this.#isServed = isRequest;
    if (isRequest) {
      this.#anomalies.add('served-connection', `connection ${event.connection} of process ${this.pid}`);
      return;
    }
    for (const earlier of held) this.#take(earlier);
    this.#take(event);
  }

  #take(event: TlsEvent): void {
    this.#requests.timeNs = event.timeNs;
    this.#responses.timeNs = event.timeNs;
    if (event.direction === 'send') this.#sentNs = event.timeNs;
    const stream = this.#streams[event.direction];
    if (event.missing > 0) stream.missing(event.offset, event.missing);
    else stream.push(event.offset, event.data);
  }

  finish({ ended, timeNs, close, lastSentNs }: Finish): void {
    if (this.#isOver || this.#isServed) return;
    for (const event of this.#beginning ?? []) this.#take(event);
    this.#beginning = undefined;
    // What a client sends below TLS when all that it wrote is sent is its goodbye: the server left because of it.
    if (close === 'unsure' && lastSentNs !== undefined && this.#sentNs !== undefined) {
      close = lastSentNs > this.#sentNs ? 'unseen' : 'broken';
    }
    this.#isOver = ended;
    for (const stream of [this.#requests, this.#responses]) {
      if (!ended) continue;
      stream.timeNs = timeNs;
      stream.finish(stream === this.#responses ? close : 'unseen');
    }
    this.#requests.giveUp();
    this.#responses.giveUp();
    reportLosses(this.#anomalies, this.#requests.where, this.#streams.send);
    reportLosses(this.#anomalies, this.#responses.where, this.#streams.receive);
  }
}

/** One AEAD context: the connections that use it one after the other, in one direction. */
class AeadContext implements Channel {
  readonly pid: number;
  readonly #where: string;
  readonly #begin: () => RequestStream | ResponseStream;
  readonly #rekeying: Rekeying<RequestStream | ResponseStream>;
  readonly #opened: (() => void) | undefined;
  #isOpened = false;
  /** Whether its connection has said anything here but its handshake. */
  #isMet = false;
  readonly #anomalies: Anomalies;
  readonly #records: TlsRecordStream;
  /** Undefined until there is application data. */
  #stream: RequestStream | ResponseStream | undefined;
  #timeNs = 0n;

  constructor(
    { pid, connection, direction }: TlsEvent,
    begin: () => RequestStream | ResponseStream,
    rekeying: Rekeying<RequestStream | ResponseStream>,
    anomalies: Anomalies,
    opened?: () => void,
  ) {
    this.pid = pid;
    this.#where = `connection ${connection} of process ${pid}, ${direction}`;
    this.#begin = begin;
    this.#rekeying = rekeying;
    this.#opened = opened;
    this.#anomalies = anomalies;
    this.#records = new TlsRecordStream({
      data: (bytes) => this.#data(bytes),
      gap: (length) => this.#open().gap(length),
      restart: () => this.#end('unseen'),
      close: (clean) => this.#close(clean),
      ticket: () => this.#ticket(),
      handshake: () => rekeying.handshake(),
      rekey: () => this.#leave(),
    });
  }

  push({ offset, data, missing, additionalData, timeNs }: TlsEvent): void {
    this.#timeNs = timeNs;
    if (this.#stream !== undefined) this.#stream.timeNs = timeNs;
    if (additionalData === undefined) return;
    if (missing > 0) this.#records.missing(offset, missing, additionalData);
    else this.#records.push(offset, data, additionalData);
  }

  finish({ ended, timeNs, close = 'unseen', endedNs }: Finish): void {
    if (ended) {
      this.#timeNs = timeNs;
      this.#stream ??= this.#rekeying.abandon(this);
      this.#end(this.#whoLeft(close, endedNs));
    }
    this.#stream?.giveUp();
    reportLosses(this.#anomalies, this.#where, this.#records);
    const { foreign } = this.#records;
    if (foreign > 0) this.#anomalies.add('not-tls', this.#where, foreign);
  }

  #data(bytes: Uint8Array): void {
    if (this.#stream?.isReplacedBy(bytes)) this.#end('unseen');
    this.#open().data(bytes);
  }

  #open(): RequestStream | ResponseStream {
    this.#meet();
    this.#stream ??= this.#begin();
    this.#stream.timeNs = this.#timeNs;
    return this.#stream;
  }

  /** A connection speaks here: maybe one that has done so elsewhere, before its keys were changed. */
  #meet(): void {
    if (this.#isMet) return;
    this.#isMet = true;
    const { stream, isInferred } = this.#rekeying.resume();
    this.#stream = stream;
    this.#isOpened = stream !== undefined;
    if (!isInferred) return;
    const what = stream === undefined ? 'is new' : 'goes on with new keys';
    this.#anomalies.add('inferred-pairing', `${this.#where}: ${what}, by their order`);
  }

  #leave(): void {
    this.#rekeying.leave(this, this.#open());
    this.#stream = undefined;
    this.#isOpened = false;
    this.#isMet = false;
  }

  #close(clean: boolean): void {
    this.#meet();
    this.#end(clean ? this.#whoLeft('seen', this.#timeNs) : 'unseen');
  }

  /** The first sign of a server: also of the next one, in a context that was used for another connection before. */
  #ticket(): void {
    this.#meet();
    if (this.#stream instanceof ResponseStream && this.#stream.partner?.isFinished) this.#end('unseen');
    if (this.#stream === undefined && !this.#isOpened) this.#opened?.();
    this.#isOpened = true;
  }

  /** A server that leaves when its client has said goodbye was asked to; `serverNs` is when it left. */
  #whoLeft(close: Close, serverNs: bigint | undefined): Close {
    const client = this.#stream instanceof ResponseStream ? this.#stream.partner : undefined;
    if (client === undefined || serverNs === undefined || close === 'unseen') return close;
    if (client.isFinished && client.timeNs < serverNs) return 'unseen';
    return close === 'unsure' ? 'broken' : close;
  }

  #end(close: Close): void {
    this.#isOpened = false;
    this.#isMet = false;
    if (this.#stream !== undefined) this.#stream.timeNs = this.#timeNs;
    this.#stream?.finish(close);
    this.#stream = undefined;
  }
}

function reportLosses(
  anomalies: Anomalies,
  where: string,
  { gaps, gapBytes, repeatedBytes }: ByteStream | TlsRecordStream,
): void {
  if (gaps > 0) anomalies.add('stream-gap', `${where}: ${gapBytes} bytes`, gaps);
  if (repeatedBytes > 0) anomalies.add('repeated-bytes', `${where}: ${repeatedBytes} bytes`);
}
