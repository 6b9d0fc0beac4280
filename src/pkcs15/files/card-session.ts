import { type CommandApdu, type ResponseApdu, StatusError, SW } from "../../apdu/index.ts";
import { type FileControl, readFileControl, select, SELECT_BY, type SelectAnswer } from "./commands.ts";
import { type FilePath, parentOf, pathName } from "./paths.ts";

/** What the card has in hand. Nothing of it is known after a reset, or once others may have been at work. */
export interface CardState {
  /** The DF whose files may be selected by their identifiers. */
  directory: string | undefined;
  /** The file that READ BINARY reads, and what the card told of it. */
  file: { readonly name: string; readonly control: FileControl } | undefined;
  /** The security environment that was set, in words of the one who set it. */
  environment: string | undefined;
}

export function unknownState(): CardState {
  return { directory: undefined, file: undefined, environment: undefined };
}

/** The card during one turn at it. */
export interface CardSession {
  send(command: CommandApdu): Promise<ResponseApdu>;
  /**
   * Makes `place` the current file.
   * @returns What the card told of it.
   * @throws {StatusError} 6A82 and others, if there is no such file.
   */
  select(place: FilePath): Promise<FileControl>;
  /** A file was made, or is gone: which one is current now, cards tell nobody. @returns `place`. */
  changed(place: FilePath): FilePath;
  /** Makes `place` the current DF, unless it is. */
  enter(place: FilePath): Promise<void>;
  /** The security environment that holds, as {@link hold} was told; undefined if none is known to. */
  readonly environment: string | undefined;
  hold(environment: string | undefined): void;
}

/** Refusals that mean the form of the command, not the file: table 6 of ISO/IEC 7816-4, and what cards make of it. */
export const REFUSES_FORM: ReadonlySet<number> = new Set([
  SW.WRONG_LENGTH,
  SW.FUNCTION_NOT_SUPPORTED,
  SW.INCORRECT_P1_P2,
  SW.LC_INCONSISTENT_WITH_P1_P2,
  SW.WRONG_P1_P2,
  SW.INSTRUCTION_NOT_SUPPORTED,
  SW.WRONG_DATA,
]);

/** SELECT succeeded; a file that is deactivated or has bad control information is selected all the same. */
export const selected = ({ sw }: ResponseApdu): boolean => sw === SW.OK || sw >> 8 === 0x62;

/** What a turn needs of the session that it is a turn of. */
export interface SelectStrategy {
  readonly send: (command: CommandApdu) => Promise<ResponseApdu>;
  readonly state: () => CardState;
  readonly answers: () => readonly SelectAnswer[];
  readonly prefer: (answer: SelectAnswer) => void;
  readonly byPath: () => boolean;
  readonly neverByPath: () => void;
  readonly enterApplication: () => Promise<void>;
}

/** SELECT in the forms that the card takes, and what is known of the outcome. */
export class SelectingCardSession implements CardSession {
  readonly #strategy: SelectStrategy;

  constructor(strategy: SelectStrategy) {
    this.#strategy = strategy;
  }

  get environment(): string | undefined {
    return this.#strategy.state().environment;
  }

  hold(environment: string | undefined): void {
    this.#strategy.state().environment = environment;
  }

  send(command: CommandApdu): Promise<ResponseApdu> {
    return this.#strategy.send(command);
  }

  async select(place: FilePath): Promise<FileControl> {
    const current = this.#strategy.state().file;
    if (current?.name === pathName(place)) return current.control;
    const answer = await this.#find(place);
    if (!selected(answer)) throw new StatusError(`SELECT ${pathName(place)}`, answer.sw);
    const control = readFileControl(answer.data);
    const state = this.#strategy.state();
    const isDirectory = control.structure === "df";
    state.file = isDirectory ? undefined : { name: pathName(place), control };
    state.directory = pathName(isDirectory ? place : parentOf(place));
    return control;
  }

  changed(place: FilePath): FilePath {
    const state = this.#strategy.state();
    state.file = undefined;
    state.environment = undefined;
    // Where the DF has no path, its name alone leads back, and would drop a verified PIN: cards stay in it.
    if (place.from === "master-file") state.directory = undefined;
    return place;
  }

  async enter(place: FilePath): Promise<void> {
    if (this.#strategy.state().directory === pathName(place)) return;
    const answer = await this.#find(place);
    if (!selected(answer)) throw new StatusError(`SELECT ${pathName(place)}`, answer.sw);
    this.#strategy.state().directory = pathName(place);
    this.#strategy.state().file = undefined;
  }

  async #find(place: FilePath): Promise<ResponseApdu> {
    const state = this.#strategy.state();
    const wasIn = state.directory;
    state.file = undefined;
    state.directory = undefined;
    // What is selected decides, on some cards, what a security environment means.
    state.environment = undefined;
    if (place.from === "application") {
      if (wasIn !== pathName(parentOf(place)) || place.path.length === 0) await this.#strategy.enterApplication();
      return this.#descend(SELECT_BY.PATH_FROM_DF, place, wasIn === pathName(parentOf(place)));
    }
    if (place.path.length === 0) return this.#ask(SELECT_BY.FILE_ID, masterFile());
    return this.#descend(SELECT_BY.PATH_FROM_MF, place, wasIn === pathName(parentOf(place)));
  }

  /** The whole path at once, or file after file on cards that do not take one. */
  async #descend(by: number, place: FilePath, fromParent: boolean): Promise<ResponseApdu> {
    const { path } = place;
    if (fromParent && (by === SELECT_BY.PATH_FROM_DF || !this.#strategy.byPath())) {
      return this.#ask(SELECT_BY.FILE_ID, path.subarray(-2));
    }
    const triesPath = this.#strategy.byPath() && path.length > 0;
    if (triesPath) {
      const answer = await this.#ask(by, path);
      if (selected(answer) || !REFUSES_FORM.has(answer.sw)) return answer;
    }
    const ids =
      path.length === 0 ? [] : Array.from({ length: path.length / 2 }, (_, at) => path.subarray(2 * at, 2 * at + 2));
    let answer: ResponseApdu = { data: new Uint8Array(), sw: SW.OK };
    for (const id of by === SELECT_BY.PATH_FROM_MF ? [masterFile(), ...ids] : ids) {
      answer = await this.#ask(SELECT_BY.FILE_ID, id);
      if (!selected(answer)) return answer;
    }
    // Only now is it known that the form was refused, and not every command, as another application does.
    if (triesPath) this.#strategy.neverByPath();
    return answer;
  }

  /** One SELECT, in the first form that the card takes; which one that is, is remembered. */
  async #ask(by: number, name: Uint8Array): Promise<ResponseApdu> {
    let first: ResponseApdu | undefined;
    for (const form of this.#strategy.answers()) {
      const answer = await this.send(select(by, name, form));
      if (selected(answer)) {
        this.#strategy.prefer(form);
        return answer;
      }
      if (!REFUSES_FORM.has(answer.sw)) return answer;
      first ??= answer;
    }
    return first ?? { data: new Uint8Array(), sw: SW.FILE_NOT_FOUND };
  }
}

const masterFile = (): Uint8Array => Uint8Array.of(0x3f, 0x00);
