const cards = [...document.querySelectorAll('article')], grid = document.querySelector('.grid');
const find = document.getElementById('find'), sort = document.getElementById('sort');
const kinds = [...document.querySelectorAll('nav [data-kind]')], none = document.querySelector('.empty');
let kind = 'all';
function show() {
  const word = find.value.trim().toLowerCase(); let seen = 0;
  for (const card of cards) {
    const is = (kind === 'all' || card.dataset.kind === kind) && card.dataset.name.toLowerCase().includes(word);
    card.hidden = !is; seen += is;
  }
  none.hidden = seen > 0;
  for (const button of kinds) button.setAttribute('aria-pressed', button.dataset.kind === kind);
}
for (const button of kinds) button.onclick = () => { kind = button.dataset.kind; show(); };
find.oninput = show;
sort.onchange = () => {
  const name = (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true });
  const by = { need: (a, b) => a.dataset.need - b.dataset.need || name(a, b), name,
    order: (a, b) => a.dataset.at - b.dataset.at }[sort.value];
  grid.append(...cards.sort(by));
};
document.addEventListener('input', event => {
  if (event.target.type === 'range') event.target.parentNode.style.setProperty('--at', event.target.value + '%');
});
const box = document.querySelector('dialog'), stage = box.querySelector('.stage'), title = box.querySelector('strong');
let open = null;
const visible = () => [...grid.children].filter(card => !card.hidden && card.querySelector('.compare, .plain'));
function enlarge(card) {
  open = card; title.textContent = card.dataset.name;
  const large = card.querySelector('.compare, .plain').cloneNode(true), image = card.querySelector('img');
  if (image && image.naturalHeight) large.style.setProperty('--ratio', image.naturalWidth / image.naturalHeight);
  for (const small of large.querySelectorAll('[data-file]')) {
    const file = new Image();
    file.onload = () => { small.src = file.src; }; // where it is not there, or no browser shows it, the small one stays
    file.src = small.dataset.file;
  }
  stage.replaceChildren(large);
  box.classList.remove('zoomed'); box.classList.toggle('showmask', card.classList.contains('showmask'));
  if (!box.open) box.showModal();
  const slider = stage.querySelector('input'); if (slider) slider.focus();
}
function step(by) { const all = visible(), next = all[all.indexOf(open) + by]; if (next) enlarge(next); }
document.addEventListener('click', async event => {
  const button = event.target.closest('button'), card = event.target.closest('article'); if (!button) return;
  const act = button.dataset.act;
  if (act === 'mask') (card ?? box).classList.toggle('showmask');
  if (act === 'large') enlarge(card);
  if (act === 'close') box.close();
  if (act === 'zoom') box.classList.toggle('zoomed');
  if (act === 'next') step(1);
  if (act === 'back') step(-1);
  if (act === 'copy') {
    const said = button.dataset.said ??= button.textContent, words = button.dataset.words; // clicked twice, it says 'copied' by then
    try { await navigator.clipboard.writeText(words); button.textContent = 'copied'; }
    catch { prompt('Copy this command', words); }
    setTimeout(() => { button.textContent = said; }, 1500);
  }
});
document.addEventListener('keydown', event => {
  if (event.target.type === 'search') return;
  if (box.open) {
    if (event.key === 'n') step(1);
    if (event.key === 'p') step(-1);
    if (event.key === 'm') box.classList.toggle('showmask');
    if (event.key === 'z') box.classList.toggle('zoomed');
  } else if (event.key === '/') { event.preventDefault(); find.focus(); }
});
show();
