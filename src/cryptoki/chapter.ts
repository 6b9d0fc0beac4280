import type { CallOptions } from "../async/index.ts";
import type { Application, ApplicationOptions } from "./application.ts";
import type { FunctionEntry, ParameterTypes, ParameterKind } from "./function-entry.ts";
import type { SlotTable } from "./slots/slot-table.ts";
import type { Tracer } from "./trace/tracer.ts";

// Any function at all: its parameters are looked at, and it is called through its own type.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AnyFunction = (...args: any) => Promise<unknown>;

/** The kinds that a parameter of type T can be. */
type KindOf<T> = { [Kind in ParameterKind]: [T] extends [ParameterTypes[Kind]] ? Kind : never }[ParameterKind];

/** The parameters of a function without the options, which come last. */
type Values<F extends AnyFunction> = Required<Parameters<F>> extends [...infer V, CallOptions] ? V : never;

type AreOptions<T> = [T, CallOptions] extends [CallOptions | undefined, T] ? true : false;

/** The parameters that a function's body gets: the gate takes the signal out of the options. */
type WithSignal<P extends readonly unknown[]> = {
  [Index in keyof P]: AreOptions<P[Index]> extends true ? AbortSignal | undefined : P[Index];
};

type Rows<P extends readonly unknown[]> = {
  readonly [Index in keyof P]: readonly [name: string, kind: KindOf<P[Index]>];
};

type Result<F extends AnyFunction> = ReturnType<F> | Awaited<ReturnType<F>>;

/** One function of the standard: its row, and its body. */
type CFunction<F extends AnyFunction> = Omit<FunctionEntry, "parameters"> & {
  readonly parameters: Rows<Values<F>>;
} & (
    | { readonly body: (application: Application, ...args: WithSignal<Parameters<F>>) => Result<F> }
    /** Whether it may be called before C_Initialize. */
    | { readonly anyTime: (module: Module, ...args: WithSignal<Parameters<F>>) => Result<F> }
  );

/** A chapter of the standard, typed by the interface of its functions. */
export interface Chapter<Functions extends { readonly [Name in keyof Functions]: AnyFunction }> {
  readonly title: string;
  /** The section of the standard, or the extensions' source. */
  readonly source: string;
  /** Whether these functions are extensions. */
  readonly vendor?: true;
  readonly functions: { readonly [Name in keyof Functions]: CFunction<Functions[Name]> };
}

/** A function for code that treats all alike. */
export interface AnyEntry extends FunctionEntry {
  body?(application: Application, ...args: unknown[]): unknown;
  anyTime?(module: Module, ...args: unknown[]): unknown;
}

/** A chapter for code that treats all functions alike. */
export interface AnyChapter {
  readonly title: string;
  readonly source: string;
  readonly vendor?: true;
  readonly functions: Readonly<Record<string, AnyEntry>>;
}

/** The context of a function that may be called at any time. */
export interface Module {
  readonly slots: SlotTable;
  readonly options: ApplicationOptions;
  readonly tracer: Tracer;
  readonly chapters: readonly AnyChapter[];
  /** From C_Initialize to C_Finalize. */
  application: Application | undefined;
}

export const SESSION = ["hSession", "session"] as const;
export const SLOT = ["slotID", "slot"] as const;
export const MECHANISM = ["pMechanism", "mechanism"] as const;
export const KEY = ["hKey", "key"] as const;
export const OBJECT = ["hObject", "object"] as const;
export const TEMPLATE = ["pTemplate", "template"] as const;
export const MESSAGE = ["pParameter", "message parameter"] as const;
export const AAD = ["pAssociatedData", "bytes"] as const;
