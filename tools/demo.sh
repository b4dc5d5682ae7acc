# ./dev demo: a real network to INT8. Downloads the PP-OCRv4 text recogniser from its package, renders
# lines of text, quantizes on them and measures both networks on lines that quantization never saw.
# Sourced by ./dev after the build.
readonly DEMO=$CACHE/demo PACKAGE=rapidocr-onnxruntime VERSION=1.4.4
readonly MODEL=$DEMO/ch_PP-OCRv4_rec_infer.onnx QUANTIZED=$DEMO/ocr-int8.onnx REPORT=$DEMO/report.html

fetch_recogniser() {
  [[ ! -f $MODEL ]] || return 0
  say "downloading $PACKAGE $VERSION"
  local wheel
  "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps -d "$CACHE" "$PACKAGE==$VERSION"
  wheel=$(ls "$CACHE"/rapidocr_onnxruntime-"$VERSION"-*.whl)
  "$PYTHON" - "$wheel" "$MODEL" <<'EOF'
import os, sys, zipfile
wheel, model = sys.argv[1:]
data = zipfile.ZipFile(wheel).read("rapidocr_onnxruntime/models/" + os.path.basename(model))
with open(model + ".part", "wb") as f:
    f.write(data)
os.replace(model + ".part", model)
EOF
}

step() { say "$*"; "$@"; }

mkdir -p "$DEMO"
fetch_recogniser
"$PYTHON" tools/render_lines.py "$DEMO/lines" --count 210 --seed 1
"$PYTHON" tools/render_lines.py "$DEMO/fresh" --count 150 --seed 2
step "$BUILD/mezzo" quantize "$MODEL" -o "$QUANTIZED" --data "$DEMO/lines" --preprocess ocr --task ctc \
  --samples 60 --report "$REPORT"
say "both networks on 150 lines that were not used so far"
step "$BUILD/mezzo" evaluate "$MODEL" --data "$DEMO/fresh" --preprocess ocr --task ctc
step "$BUILD/mezzo" evaluate "$QUANTIZED" --data "$DEMO/fresh" --preprocess ocr --task ctc
ls -l "$MODEL" "$QUANTIZED"
echo "The report: open $PWD/$REPORT"
