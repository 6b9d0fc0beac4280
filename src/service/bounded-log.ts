import { Condition } from "../async/index.ts";

/** The last items of an endless list, and those who follow it: each gets every item in order, and is told what it missed. */
export class BoundedLog<T> {
  readonly #kept: number;
  readonly #items: T[] = [];
  readonly #changed = new Condition();
  /** Number of the first item that is kept. */
  #first = 1;

  /** @param kept Items that are kept. */
  constructor(kept: number) {
    this.#kept = kept;
  }

  /** Number of the first item that is kept. */
  get first(): number {
    return this.#first;
  }

  /** Number of the item that is added next. */
  get next(): number {
    return this.#first + this.#items.length;
  }

  add(item: T): void {
    this.#items.push(item);
    if (this.#items.length > this.#kept) {
      this.#items.shift();
      this.#first++;
    }
    this.#changed.notifyAll();
  }

  /**
   * The items from a number on, and then each as it is added. An undefined one stands for items that are no longer kept.
   * @param signal Ends it; then it throws the signal's reason.
   */
  async *from(number: number, signal: AbortSignal): AsyncGenerator<T | undefined> {
    let next = number;
    for (;;) {
      if (next < this.#first) {
        next = this.#first;
        yield undefined;
      }
      if (next < this.next) {
        const item = this.#items[next - this.#first];
        next++;
        yield item;
      } else await this.#changed.wait(undefined, [signal]);
    }
  }
}
