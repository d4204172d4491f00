/* The page of one job: the gateway says when the job changes, and htmx asks for the new page. */
'use strict';
(() => {
  const part = () => document.querySelector('[data-events]');
  if (!part() || !window.EventSource) return;
  const source = new EventSource(part().dataset.events);
  source.addEventListener('changed', () => {
    if (part() && window.htmx) window.htmx.trigger(part(), 'refresh');
  });
  source.addEventListener('ended', () => source.close());
})();
