/** Labels of a metric: names in a fixed order, and values as the text between the braces of the exposition. */
import { assert } from '@ambit/base/assert';

export type LabelNames = readonly string[];

/** One for each name; null leaves that label out. */
export type LabelValues<N extends LabelNames = LabelNames> = { readonly [I in keyof N]: string | null };

export class LabelSchema<const N extends LabelNames = LabelNames> {
  readonly names: N;

  constructor(names: N) {
    this.names = names;
  }

  /** `a="1",b="2"`. Different values give different texts. */
  format(values: LabelValues<N>): string {
    const { names } = this;
    assert(values.length === names.length, 'there is a value for each label');
    let text = '';
    for (let i = 0; i < names.length; i++) {
      const value = values[i] as string | null;
      if (value === null) continue;
      text += text === '' ? `${names[i]}="${escapeValue(value)}"` : `,${names[i]}="${escapeValue(value)}"`;
    }
    return text;
  }
}

export const NO_LABELS = new LabelSchema([]);

/** Made by the registry alone, once for each text; so it serves as key by its identity. */
export class LabelSet<N extends LabelNames = LabelNames> {
  readonly schema: LabelSchema<N>;
  readonly values: LabelValues<N>;
  readonly text: string;

  constructor(schema: LabelSchema<N>, values: LabelValues<N>, text: string) {
    this.schema = schema;
    this.values = values;
    this.text = text;
  }
}

/** As OpenMetrics asks; peers choose some values, and none may end its quotation or its line. */
function escapeValue(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`));
}
