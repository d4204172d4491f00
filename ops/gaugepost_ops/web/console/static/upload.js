/* A file may be dropped anywhere on this page: it goes into the field. Without this script, only onto the field. */
'use strict';
(() => {
  const field = document.querySelector('.drop');
  const input = field && field.querySelector('input[type=file]');
  const said = field && field.querySelector('[role=status]');
  if (!input || !said) return;
  const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes('Files');
  function leave() {
    field.classList.remove('over');
  }
  document.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
    field.classList.add('over');
  });
  document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) leave(); });
  document.addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    leave();
    const files = event.dataTransfer.files;
    if (!files.length) return;
    const first = new DataTransfer();
    first.items.add(files[0]);
    input.files = first.files;
    said.textContent = files.length > 1 ? `One file at a time: only ${files[0].name} is taken.` : '';
  });
})();
