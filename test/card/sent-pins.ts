import { SW, type CommandApdu, type ResponseApdu } from "../../src/apdu/index.ts";

/** A card that takes one command, and keeps a view of its data. */
export class DataKeeper {
  /** A copy of the data when the command came. */
  sent: Uint8Array | undefined;
  #data: Uint8Array | undefined;
  readonly #outcome: "accepted" | "refused" | "broken";

  constructor(outcome: "accepted" | "refused" | "broken") {
    this.#outcome = outcome;
  }

  readonly send = ({ data }: CommandApdu): Promise<ResponseApdu> => {
    this.#data = data;
    this.sent = data && Uint8Array.from(data);
    if (this.#outcome === "broken") return Promise.reject(new Error("the reader is gone"));
    return Promise.resolve({ data: new Uint8Array(), sw: this.#outcome === "accepted" ? SW.OK : 0x63c2 });
  };

  /** What the memory of the data holds now. */
  get left(): Uint8Array | undefined {
    return this.#data;
  }
}

export const OUTCOMES = ["accepted", "refused", "broken"] as const;
