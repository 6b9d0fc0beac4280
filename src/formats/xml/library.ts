import { loadLibrary } from "../library.ts";

/*
 * What is used of the libraries. Their own types need those of a browser's DOM, which would change the types of the whole program. They are
 * imported under `satisfies string`, so that the compiler does not look for them.
 */

/** A node of a document, as DOM has it. */
export interface XmlElement {
  readonly parentNode: XmlElement | null;
  readonly ownerDocument: XmlDocument;
}

export interface XmlDocument {
  readonly documentElement: XmlElement;
  cloneNode(deep: boolean): XmlDocument;
  getElementsByTagNameNS(namespace: string, name: string): Iterable<XmlElement>;
}

interface XmlList<T> {
  GetIterator(): Iterable<T>;
}

export interface XmlReference {
  readonly Uri: string | null;
  readonly Transforms: XmlList<{ readonly Algorithm: string }>;
  readonly DigestMethod: { readonly Algorithm: string };
}

interface XmlSignature {
  SignatureValue: Uint8Array | null;
  readonly SignedInfo: { SignatureMethod: { readonly Algorithm: string }; readonly References: XmlList<XmlReference> };
  readonly KeyInfo: XmlList<unknown>;
}

interface SignOptions {
  readonly signingCertificateV2: { readonly certificate: string; readonly digestAlgorithm: string };
  readonly signingTime: { readonly value: Date };
  readonly x509: readonly string[];
  readonly references: readonly {
    readonly uri: string;
    readonly hash: string;
    readonly transforms: readonly string[];
  }[];
}

export interface XmlAlgorithm {
  readonly name: string;
  readonly hash: { readonly name: string };
}

/** The steps of signing and verifying; Sign() and Verify() take keys of WebCrypto only. */
export interface SignedXml {
  readonly XmlSignature: XmlSignature;
  readonly Properties: {
    readonly SignedProperties: {
      readonly SignedSignatureProperties: { readonly SigningTime: { readonly Value: Date } };
    };
  } | null;
  document?: XmlDocument;
  LoadXml(element: XmlElement): void;
  ApplySignOptions(
    signature: XmlSignature,
    algorithm: XmlAlgorithm,
    key: { readonly algorithm: XmlAlgorithm },
    options: SignOptions,
  ): Promise<void>;
  DigestReferences(root: XmlElement): Promise<void>;
  ValidateReferences(root: XmlElement): Promise<boolean>;
  TransformSignedInfo(data: XmlElement | XmlDocument): string;
  toString(): string;
}

interface KeyInfoX509Data {
  readonly Certificates: readonly { GetRaw(): Uint8Array }[];
}

interface Xades {
  readonly SignedXml: new (document?: XmlDocument) => SignedXml;
  setNodeDependencies(dependencies: object): void;
}

interface XmlDsig {
  readonly Application: { readonly crypto: unknown; setEngine(name: string, crypto: object): void };
  readonly CryptoConfig: {
    GetSignatureAlgorithm(algorithm: XmlAlgorithm): unknown;
    CreateSignatureMethod(algorithm: unknown): { readonly Algorithm: string };
  };
  readonly KeyInfoX509Data: new () => KeyInfoX509Data;
}

interface XmlDom {
  readonly DOMParser: new (options: object) => { parseFromString(text: string, type: string): XmlDocument };
  readonly XMLSerializer: object;
  readonly onErrorStopParsing: object;
}

export interface XmlLibrary {
  readonly xades: Xades;
  readonly dsig: XmlDsig;
  readonly dom: XmlDom;
}

const PACKAGES = ["xadesjs", "xmldsigjs", "@xmldom/xmldom", "xpath"];

/** @throws {FormatError} LIBRARY_MISSING. */
export async function loadXmlLibrary(): Promise<XmlLibrary> {
  return loadLibrary("XML", PACKAGES, async () => {
    const dom = (await import("@xmldom/xmldom" satisfies string)) as XmlDom;
    const xpath = (await import("xpath" satisfies string)) as object;
    const dsig = (await import("xmldsigjs" satisfies string)) as XmlDsig;
    const xades = (await import("xadesjs" satisfies string)) as Xades;
    const { DOMParser, XMLSerializer } = dom;
    xades.setNodeDependencies({ DOMParser, XMLSerializer, xpath });
    requireEngine(dsig);
    return { xades, dsig, dom };
  });
}

/** The library has one engine for all its callers; one that a program has set stays. */
function requireEngine({ Application }: XmlDsig): void {
  const { crypto } = globalThis;
  if (hasEngine(Application)) return;
  // The library writes a name into what it is given.
  Application.setEngine("host", { subtle: crypto.subtle, getRandomValues: crypto.getRandomValues.bind(crypto) });
}

function hasEngine(application: XmlDsig["Application"]): boolean {
  try {
    return application.crypto !== undefined;
  } catch {
    return false;
  }
}
