#!/bin/bash
# What the demo's engineering station shows: the ladder program of the paint line's controller, online. It runs in an
# xterm of the station's user, as large as that is, and is worked by keys and mouse. Nothing of it leaves the station.
export LC_ALL=C.UTF-8

ink=$'\e[38;2;38;50;60m' pale=$'\e[38;2;128;140;150m' green=$'\e[38;2;0;128;60m' amber=$'\e[38;2;176;98;0m'
white=$'\e[38;2;255;255;255m' bold=$'\e[1m' plain=$'\e[22m'
paper=$'\e[48;2;252;252;250m' side=$'\e[48;2;236;240;243m' bar=$'\e[48;2;38;70;92m' head=$'\e[48;2;214;222;228m'

run=1 version=17 preset=5 loaded=5 progress=-1 editing='' typed='' oven=1 spraying=0
messages=('Project PAINT_L1 opened, version 17.' 'Online with PLC-07: program and controller are the same.')

# A cell is text with colours, and how wide it is without them.
cell='' width=0
begin() { cell=$1 width=0; }
put() { cell+="${2-}$1" width=$((width + ${#1})); }
spaces() { printf -v REPLY '%*s' "$(($1 > 0 ? $1 : 0))" ''; }
wire() { spaces "$1"; REPLY=${REPLY// /─}; }
fill() { spaces $(($1 - width)); put "$REPLY"; }

say() { messages+=("$(date +%H:%M:%S)  $1"); }

# What the controller does, a step at a time.
advance() {
  local t=$SECONDS
  part=$((t % 14 < 9)) guard=1 stop=0
  conveyor=$((run && oven && guard && !stop))
  local was=$spraying
  spraying=$((conveyor && part))
  ((spraying && !was)) && since=$t
  elapsed=$((spraying ? t - since : 0))
  ((elapsed > loaded)) && elapsed=$loaded
  clear_booth=$((spraying && elapsed >= loaded))
  temperature=$((1820 + (t * 7) % 11 - 5 - (oven ? 0 : 240)))
  if ((progress >= 0)); then
    progress=$((progress + 4))
    if ((progress >= 100)); then
      progress=-1 loaded=$preset version=$((version + 1)) run=1
      say "Download finished. PLC-07 runs version $version."
    fi
  fi
}

# One network: its title, then each element as name:sort:value; sorts are a contact, its opposite, a box and a coil.
network() {
  local title=$1 flow=1 names='' line='' at element name sort value symbol colour count=$(($# - 1)) each
  shift
  each=$(((middle - 6) / count))
  begin "$paper"; put "  $title" "$bold$ink"; cell+=$plain; fill "$middle"; rows+=("$cell")
  names='  ' line="  $([[ $run = 1 ]] && echo "$green" || echo "$pale")├"
  for element in "$@"; do
    IFS=: read -r name sort value <<<"$element"
    case $sort in
      contact) symbol='┤ ├' ;;
      opposite) symbol='┤/├' value=$((!value)) ;;
      box) symbol="┤ $name ├" name='' ;;
      coil) symbol='( )' value=1 ;;
    esac
    at=$(((each - ${#symbol}) / 2))
    ((run && flow)) && colour=$green || colour=$pale
    wire "$at"; line+="$colour$REPLY"
    ((run && flow && value)) && colour=$green || colour=$pale
    [[ $sort = coil && $colour = "$green" ]] && symbol='(●)'
    line+="$colour$bold$symbol$plain"
    flow=$((flow && value))
    wire $((each - at - ${#symbol})); line+="$colour$REPLY"
    at=$(((each - ${#name}) / 2))
    spaces "$at"; names+="$REPLY$name"; spaces $((each - at - ${#name})); names+=$REPLY
  done
  begin "$paper"; put "$names" "$ink"; fill "$middle"; rows+=("$cell")
  begin "$paper"; cell+="$line┤"; width=$((4 + each * count)); fill "$middle"; rows+=("$cell")
  begin "$paper"; fill "$middle"; rows+=("$cell")
}

ladder() {
  rows=()
  local changed=''
  ((preset != loaded)) && changed='   * changed, not loaded yet'
  begin "$head"; put " Main [OB1]   PAINT_L1$changed" "$ink"; fill "$middle"; rows+=("$cell")
  begin "$paper"; fill "$middle"; rows+=("$cell")
  network 'Network 1   Release of conveyor C-12' "Oven_ready:contact:$oven" "Guard_closed:contact:$guard" \
    "E_stop:opposite:$stop" "C12_run:coil:$conveyor"
  network 'Network 2   Spray when a body stands in the booth' "C12_run:contact:$conveyor" \
    "Body_in_booth:contact:$part" "Spray_on:coil:$spraying"
  network "Network 3   The booth is clear after $preset s" "Spray_on:contact:$spraying" \
    "TON T1  $elapsed / $preset s:box:$clear_booth" "Booth_clear:coil:$clear_booth"
  network 'Network 4   Lamp at the booth' "Booth_clear:opposite:$clear_booth" "C12_run:contact:$conveyor" \
    "Lamp_busy:coil:1"
}

tree=('▾ PAINT_L1' '  ▾ PLC-07' '    ▾ Program blocks' '        Main [OB1]' '        Booth [FB3]' '        Oven [FB7]'
  '        Alarms [FC2]' '    ▸ Tags' '    ▸ Technology' '    ▸ Cross references' '  ▸ HMI booth' '  ▸ Drives' '  ▸ Network')

# Line $1 of the project's tree.
project() {
  begin "$side"
  if (($1 == 0)); then begin "$head"; put ' Project' "$ink"
  else
    local text=${tree[$1 - 1]-}
    [[ $text = *Main* ]] && put " $text" "$bold$ink" || put " $text" "$plain$ink"
  fi
  cell+=$plain; fill "$left"
}

# Line $1 of the table of values.
watch() {
  local name value
  begin "$side"
  if (($1 == 0)); then begin "$head"; put ' Watch table' "$ink"; fill "$right"; return; fi
  case $1 in
    2) name=Oven_temp value="$((temperature / 10)).$((temperature % 10)) °C" ;;
    3) name=C12_speed value="$((conveyor ? 12 : 0)).0 m/min" ;;
    4) name=Oven_ready value=$oven ;;
    5) name=Guard_closed value=$guard ;;
    6) name=Body_in_booth value=$part ;;
    7) name=Spray_on value=$spraying ;;
    8) name=T1.ET value="$elapsed s" ;;
    9) name=T1.PT value="$loaded s" ;;
    10) name=Booth_clear value=$clear_booth ;;
    *) fill "$right"; return ;;
  esac
  case $value in 1) value='● TRUE' ;; 0) value='○ FALSE' ;; esac
  put " $name" "$ink"; fill $((right - 13))
  [[ $value = *TRUE ]] && put "$value" "$green" || put "$value" "$ink"
  fill "$right"
}

buttons=('e  Edit T1' 'd  Download' 's  Run / Stop' 'o  Oven ready')
frame() {
  local row height=$((lines - 8)) text place n
  left=24 right=30
  ((columns < 118)) && right=0
  ((columns < 88)) && left=0
  middle=$((columns - left - right))
  ladder
  begin "$bar"; put ' Paint line 1 — engineering' "$bold$white"; cell+=$plain; fill $((columns - 24))
  if ((progress >= 0)); then put '◆ PLC-07  LOADING' "$white"
  elif ((run)); then put '● PLC-07  RUN, online' "$white"
  else put '■ PLC-07  STOP, online' "$white"; fi
  fill "$columns"; page=("$cell")
  begin "$bar"; put ' File   Edit   View   Controller   Online   Help' "$white"; fill "$columns"; page+=("$cell")
  for ((row = 0; row < height; row++)); do
    text=''
    ((left)) && { project "$row"; text+=$cell; }
    if ((row < ${#rows[@]})); then text+=${rows[row]}
    else begin "$paper"; fill "$middle"; text+=$cell; fi
    ((right)) && { watch "$row"; text+=$cell; }
    page+=("$text")
  done
  begin "$head"; put ' Output' "$ink"; fill "$columns"; page+=("$cell")
  for ((row = 4; row > 0; row--)); do
    begin "$paper"; n=$((${#messages[@]} - row))
    if ((row == 1 && progress >= 0)); then
      n=$((progress * 40 / 100)); spaces "$n"; text=${REPLY// /█}; spaces $((40 - n))
      put " Loading to PLC-07  $text${REPLY// /░}  $progress %" "$amber"
    elif ((n >= 0)); then put " ${messages[n]}" "$ink"; fi
    fill "$columns"; page+=("$cell")
  done
  begin "$bar"; places=()
  if [[ $editing ]]; then put " New time of T1 in seconds, then Enter: ${typed}▏" "$white$bold"; cell+=$plain
  else
    for text in "${buttons[@]}"; do
      put ' ' "$bar$white"; places+=("$width:${#text}"); put "  $text  " "$head$ink"
    done
    cell+=$bar
  fi
  fill "$columns"; page+=("$cell")
  # Only what is new is drawn: a picture that stands still costs nothing.
  text=''
  for ((row = 0; row < ${#page[@]}; row++)); do
    [[ ${page[row]} = "${shown[row]-}" ]] || text+=$'\e['"$((row + 1));1H${page[row]}"
  done
  shown=("${page[@]}")
  [[ $text ]] && printf '%s\e[0m' "$text"
}

press() {
  case $1 in
    e | E) editing=1 typed='' ;;
    d | D)
      if ((preset == loaded)); then say 'Nothing to load: program and controller are the same.'
      else progress=0 run=0; say 'Loading to PLC-07. The line stands while it lasts.'; fi ;;
    s | S) ((run = !run)); ((run)) && say 'PLC-07 set to RUN.' || say 'PLC-07 set to STOP.' ;;
    o | O) ((oven = !oven)); ((oven)) && say 'Oven_ready forced to TRUE.' || say 'Oven_ready forced to FALSE.' ;;
  esac
}

type_key() {
  case $1 in
    '')
      if [[ $typed =~ ^[1-9][0-9]?$ ]]; then preset=$typed; say "T1.PT is $preset s in the project. Download to load it."; fi
      editing='' ;;
    $'\x7f' | $'\b') typed=${typed%?} ;;
    [0-9]) ((${#typed} < 2)) && typed+=$1 ;;
  esac
}

# The rest of an escape sequence; a click on a button of the last line presses it.
escape() {
  local rest='' next n
  while IFS= read -rsn1 -t 0.02 next; do
    rest+=$next
    [[ $next = [A-Za-z~] && $rest != '[' && $rest != O ]] && break
  done
  if [[ ! $rest ]]; then editing=''; return; fi
  [[ $rest =~ ^\[\<0\;([0-9]+)\;([0-9]+)M$ ]] || return
  ((BASH_REMATCH[2] == lines)) || return
  for n in "${!places[@]}"; do
    local from=${places[n]%:*} long=${places[n]#*:}
    ((BASH_REMATCH[1] > from && BASH_REMATCH[1] <= from + long + 4)) && press "${buttons[n]:0:1}"
  done
}

measure() {
  # Bash looks at the size when a command has ended.
  (:)
  lines=$LINES columns=$COLUMNS shown=() resized=''
}
shopt -s checkwinsize
trap 'resized=1' WINCH
trap '' INT QUIT TSTP
stty -echo
printf '\e[?25l\e[?7l\e[?1000h\e[?1006h'
measure
while :; do
  [[ $resized ]] && measure
  advance
  frame
  ((progress >= 0)) && pause=0.15 || pause=0.5
  key=''
  if IFS= read -rsn1 -t "$pause" key; then
    if [[ $key = $'\e' ]]; then escape
    elif [[ $editing ]]; then type_key "$key"
    elif ((progress < 0)); then press "$key"; fi
  elif (($? < 128)); then exit 0
  fi
done
