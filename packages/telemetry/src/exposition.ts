/**
 * The text that Prometheus reads, as Istio's ztunnel writes it (section 8.1): OpenMetrics in form whatever the content
 * type, HELP with a full stop added, metrics without series left out, sum and count of a histogram before its buckets.
 */
import { Counter, Histogram } from './metric-series.ts';
import type { AnyFamily, CollectedMetric, MetricRegistry } from './metrics.ts';

export function formatExposition(registry: MetricRegistry): string {
  let text = '';
  for (const metric of registry.collectedMetrics()) text += formatCollected(metric);
  for (const family of registry.families()) {
    if (family.series.size > 0) text += formatFamily(family);
  }
  return `${text}# EOF\n`;
}

/** `accept`: the request's header lines, joined by commas. */
export function expositionContentType(accept: string): string {
  const asked = accept.split(',').map((range) => range.split(';', 1)[0]!.trim().toLowerCase());
  return asked.includes('application/openmetrics-text')
    ? 'application/openmetrics-text;charset=utf-8;version=1.0.0'
    : 'text/plain; charset=utf-8';
}

function formatCollected({ name, help, type, read }: CollectedMetric): string {
  const value = read();
  if (value === null) return '';
  return `${formatDescriptor(name, help, type, null)}${name}${type === 'counter' ? '_total' : ''} ${value}\n`;
}

function formatFamily(family: AnyFamily): string {
  const { name, type, unit } = family;
  let text = formatDescriptor(name, `${family.help}.`, type, unit);
  for (const [labels, series] of family.series) {
    if (series instanceof Histogram) text += formatHistogram(name, labels.text, series);
    else if (series instanceof Counter) {
      text += `${name}${type === 'counter' ? '_total' : ''}${braces(labels.text)} ${series.value}\n`;
    }
  }
  return text;
}

function formatDescriptor(name: string, help: string, type: string, unit: string | null): string {
  const lines = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  return unit === null ? lines : `${lines}# UNIT ${name} ${unit}\n`;
}

function formatHistogram(name: string, labels: string, { bounds, counts, sum }: Histogram): string {
  let text = '';
  let cumulative = 0;
  for (const [i, count] of counts.entries()) {
    cumulative += count;
    const bound = bounds[i];
    const le = `le="${bound === undefined ? '+Inf' : formatFloat(bound)}"`;
    text += `${name}_bucket{${labels === '' ? le : `${le},${labels}`}} ${cumulative}\n`;
  }
  const braced = braces(labels);
  return `${name}_sum${braced} ${formatFloat(sum)}\n${name}_count${braced} ${cumulative}\n${text}`;
}

function braces(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}

function formatFloat(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
