/** The client that the service sees, and what it may do. */
export interface Client {
  readonly name: string;
  readonly roles: readonly string[];
  readonly pinsInRequests: boolean;
  readonly trace: boolean;
  readonly practiceCard: boolean;
}

export interface Token {
  readonly token: string;
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
  readonly reader: string;
}

export interface PinState {
  readonly status: "usable" | "low" | "final-try" | "locked" | "not-set" | "must-change";
  readonly entry: "host" | "reader";
}

export interface Key {
  readonly key: string;
  readonly label: string;
  readonly reference?: string;
  readonly algorithm: { readonly type: string; readonly bits?: number; readonly curve?: string };
  readonly jwk: JsonWebKey;
}

export interface Certificate {
  readonly label: string;
  readonly subject: string;
  readonly issuer: string;
  readonly notBefore: string;
  readonly notAfter: string;
}

/** A request that the service refused. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly code: string;
  readonly triesLeft: number | undefined;

  constructor(status: number, { detail, code, triesLeft }: Partial<Problem>) {
    super(`${detail ?? "The service gave no reason"}${code === undefined ? "" : ` (${code})`}`);
    this.status = status;
    this.code = code ?? "";
    this.triesLeft = triesLeft;
  }
}

interface Problem {
  readonly detail: string;
  readonly code: string;
  readonly triesLeft: number;
}

type Sent = Omit<RequestInit, "headers"> & { readonly headers?: Readonly<Record<string, string>> };

/** The service. The bearer token is kept in this object alone: it is gone when the page is. */
export class Api {
  readonly #bearer: string | undefined;

  /** @param bearer Undefined: the browser shows a certificate, or needs no credentials. */
  constructor(bearer: string | undefined) {
    this.#bearer = bearer;
  }

  get<T>(path: string): Promise<T> {
    return this.#json<T>(path, {});
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.#json<T>(path, {
      method: "POST",
      headers: { "content-type": "application/json", "cryptoki-client": "page" },
      body: JSON.stringify(body),
    });
  }

  /** The items of a list, of all its pages. */
  async list<T>(path: string): Promise<readonly T[]> {
    const items: T[] = [];
    let next: string | undefined = path;
    while (next !== undefined) {
      const answer = await this.#fetch(next, {});
      items.push(...((await answer.json()) as { readonly items: readonly T[] }).items);
      next = /<([^>]*)>; rel="next"/u.exec(answer.headers.get("link") ?? "")?.[1];
    }
    return items;
  }

  /** Server-sent events, after one "open". EventSource sends no bearer token. */
  async *events(path: string, signal: AbortSignal, last: string): AsyncGenerator<ServerEvent> {
    const answer = await this.#fetch(path, { signal, headers: last === "" ? {} : { "last-event-id": last } });
    if (!answer.body) return;
    // What is asked from now on misses nothing.
    yield { id: "", type: "open", data: undefined };
    let text = "";
    for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
      const blocks = `${text}${part}`.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = new Map(block.split("\n").map((line) => cut(line)));
        const data = fields.get("data");
        if (data !== undefined)
          yield { id: fields.get("id") ?? "", type: fields.get("event") ?? "", data: JSON.parse(data) as unknown };
      }
    }
  }

  async #json<T>(path: string, init: Sent): Promise<T> {
    const answer = await this.#fetch(path, init);
    return (answer.status === 204 ? undefined : await answer.json()) as T;
  }

  async #fetch(path: string, init: Sent): Promise<Response> {
    const headers = {
      ...init.headers,
      ...(this.#bearer !== undefined && { authorization: `Bearer ${this.#bearer}` }),
    };
    const answer = await fetch(path, { ...init, headers, cache: "no-store", credentials: "same-origin" });
    if (answer.ok) return answer;
    const problem = (await answer.json().catch(() => ({}))) as Partial<Problem>;
    throw new Refusal(answer.status, problem);
  }
}

export interface ServerEvent {
  readonly id: string;
  readonly type: string;
  readonly data: unknown;
}

/** "event: call" as name and value. */
function cut(line: string): [string, string] {
  const at = line.indexOf(":");
  return [line.slice(0, at), line.slice(at + 1).trimStart()];
}

/** Milliseconds before a broken stream is opened again. */
const RETRY = 2000;

/**
 * Follows a stream of events, and goes on with it after an interruption. An event "open" says that the stream is open, one "closed" that it
 * broke.
 */
export async function follow(
  api: Api,
  path: string,
  signal: AbortSignal,
  onEvent: (event: ServerEvent) => void,
): Promise<void> {
  const isOver = (): boolean => signal.aborted;
  let last = "";
  while (!isOver()) {
    try {
      for await (const event of api.events(path, signal, last)) {
        if (event.id !== "") last = event.id;
        onEvent(event);
      }
    } catch (error) {
      if (error instanceof Refusal && error.status < 500) throw error;
    }
    if (isOver()) return;
    onEvent({ id: "", type: "closed", data: undefined });
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

export function toBase64Url(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @throws {Error} for text that is no base64url. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  try {
    const plain = atob(text.replaceAll(/\s/gu, "").replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
  } catch (cause) {
    throw new Error("The signature is not base64url.", { cause });
  }
}
