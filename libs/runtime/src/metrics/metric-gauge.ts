import { methodContribution } from '../contributions.js';

/** Name and help of a gauge. */
interface MetricGaugeOptions {
  readonly name: string;
  readonly help: string;
}

/** The methods decorated with {@link MetricGauge}. */
export const METRIC_GAUGES = methodContribution<MetricGaugeOptions, () => number>('MetricGauge');

/**
 * Shows the result of a method as a gauge without labels, computed when the metrics are read. A name that another metric has fails the
 * start. Inject prom-client's `Registry` for any other kind of metric.
 * @param help says which value is shown, with its unit
 * @example
 * @MetricGauge('stowage_albums_open', 'Number of open albums')
 * countOpen(): number {
 *   return this.open.size;
 * }
 */
export const MetricGauge = (name: string, help: string) => METRIC_GAUGES({ name, help });
