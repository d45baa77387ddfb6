import { Gauge, type Registry } from 'prom-client';

/**
 * Registers a gauge without labels whose value is computed when the metrics are read.
 * @example addGauge(registry, 'stowage_albums_open', 'Number of open albums', () => albums.size);
 */
export function addGauge(registry: Registry, name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(value());
    },
  });
}
