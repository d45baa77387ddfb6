/** Inserts uploads without bytes; their next check is due, their deadline is far away. */
export const requests = (owner: number, count: number, first = 1) => `
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
      checksum_sha256, status, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at,
      updated_at)
    select ('0190${owner.toString().padStart(4, '0')}-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, ${owner}, 'b', 'k',
      'f', 'image/jpeg', 'image/jpeg', 1, repeat('0', 64), 'PENDING', 'RESUMABLE', 'r', now(), now() + interval '7 days',
      now() - interval '1 hour' / (${owner} + n), now() - interval '1 day', now()
    from generate_series(${first}, ${first + count - 1}) n`;
