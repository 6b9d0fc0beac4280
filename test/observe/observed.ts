import { type ChannelName, type ChannelPayloads, follow } from "../../src/observe/index.ts";

const NAMES: readonly ChannelName[] = [
  "cryptoki:call:start",
  "cryptoki:call",
  "cryptoki:apdu",
  "cryptoki:queue",
  "cryptoki:card",
  "cryptoki:login",
  "cryptoki:error",
];

/** Everything that is published until it is disposed of. */
export class Observed implements Disposable {
  readonly all: { readonly name: ChannelName; readonly event: unknown }[] = [];
  readonly #ends: (() => void)[] = [];

  constructor() {
    for (const name of NAMES) {
      const listener = (event: unknown): void => {
        this.all.push({ name, event });
      };
      this.#ends.push(follow(name, listener));
    }
  }

  of<Name extends ChannelName>(name: Name): readonly ChannelPayloads[Name][] {
    return this.all.filter((one) => one.name === name).map(({ event }) => event as ChannelPayloads[Name]);
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends) end();
  }
}
