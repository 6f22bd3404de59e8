/**
 * The two functions that tsyringe, which @peculiar/x509 loads, demands of `Reflect` before it starts. None of the
 * classes that x509 registers has constructor parameters, so there is no metadata to keep: both find nothing.
 */
interface ReflectMetadata {
  getMetadata?: (key: unknown, target: unknown) => undefined;
  getOwnMetadata?: (key: unknown, target: unknown) => undefined;
}

const reflect: typeof Reflect & ReflectMetadata = Reflect;
reflect.getMetadata ??= () => undefined;
reflect.getOwnMetadata ??= () => undefined;

export {};
