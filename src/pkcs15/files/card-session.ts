import { type CommandApdu, type ResponseApdu, StatusError, SW } from "../../apdu/index.ts";
import { type FileControl, readFileControl, select, SELECT_BY, type SelectAnswer } from "./commands.ts";
import { type FilePath, parentOf, pathName } from "./paths.ts";

/** Cached volatile card state; invalid after a reset or when another program may have used the card. */
export interface CardState {
  /** The current DF, whose files may be selected by their identifiers. */
  directory: string | undefined;
  /** The current EF, and the card's answer to its selection. */
  file: { readonly name: string; readonly control: FileControl } | undefined;
  /** Opaque key that identifies the security environment. */
  environment: string | undefined;
}

export function unknownState(): CardState {
  return { directory: undefined, file: undefined, environment: undefined };
}

/** The card during one transaction. */
export interface CardSession {
  send(command: CommandApdu): Promise<ResponseApdu>;
  /**
   * Makes `place` the current file.
   * @returns The card's answer.
   * @throws {StatusError} 6A82 and others, if there is no such file.
   */
  select(place: FilePath): Promise<FileControl>;
  /** Call it after creating or deleting a file: cards do not report which file is current then. @returns `place`. */
  changed(place: FilePath): FilePath;
  /** Makes `place` the current DF, unless it is. */
  enter(place: FilePath): Promise<void>;
  /** The key of the current security environment, from {@link hold}; undefined if unknown. */
  readonly environment: string | undefined;
  hold(environment: string | undefined): void;
}

/** Refusals of the command's form, not of the file: table 6 of ISO/IEC 7816-4, and further ones of real cards. */
export const REFUSES_FORM: ReadonlySet<number> = new Set([
  SW.WRONG_LENGTH,
  SW.FUNCTION_NOT_SUPPORTED,
  SW.INCORRECT_P1_P2,
  SW.LC_INCONSISTENT_WITH_P1_P2,
  SW.WRONG_P1_P2,
  SW.INSTRUCTION_NOT_SUPPORTED,
  SW.WRONG_DATA,
]);

/** Whether SELECT succeeded: also for a deactivated file, or one with malformed control information. */
export const selected = ({ sw }: ResponseApdu): boolean => sw === SW.OK || sw >> 8 === 0x62;

/** The part of the session that a transaction needs. */
export interface SelectStrategy {
  readonly send: (command: CommandApdu) => Promise<ResponseApdu>;
  readonly state: () => CardState;
  readonly answers: () => readonly SelectAnswer[];
  readonly prefer: (answer: SelectAnswer) => void;
  readonly byPath: () => boolean;
  readonly neverByPath: () => void;
  readonly enterApplication: () => Promise<void>;
  /** Called after each file that was selected. */
  readonly found: (place: FilePath) => void;
}

/** SELECT in the forms that the card supports, and the state after it. */
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
    this.#strategy.found(place);
    return control;
  }

  changed(place: FilePath): FilePath {
    const state = this.#strategy.state();
    state.file = undefined;
    state.environment = undefined;
    // If the DF has no path, only its name leads back, which would drop a verified PIN: the card stays in it.
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
    // On some cards the selection determines the meaning of a security environment.
    state.environment = undefined;
    if (place.from === "application") {
      if (wasIn !== pathName(parentOf(place)) || place.path.length === 0) await this.#strategy.enterApplication();
      return this.#descend(SELECT_BY.PATH_FROM_DF, place, wasIn === pathName(parentOf(place)));
    }
    if (place.path.length === 0) return this.#ask(SELECT_BY.FILE_ID, masterFile());
    return this.#descend(SELECT_BY.PATH_FROM_MF, place, wasIn === pathName(parentOf(place)));
  }

  /** The whole path at once, or file after file on cards that do not support that. */
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
    // Only now it is clear that the card refused the form, and not every command, as another application does.
    if (triesPath) this.#strategy.neverByPath();
    return answer;
  }

  /** One SELECT, in the first form that the card accepts, which is cached. */
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
