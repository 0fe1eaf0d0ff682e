#!/bin/sh
# Clean video between two ffmpeg programs: ffmpeg_pipe.sh input.mp4 output.mp4
# NUT holds every pixel format and exact timestamps; VIDNOISE is the command, should it not be on the path.
set -eu
ffmpeg -v error -i "$1" -map 0:v:0 -c:v rawvideo -f nut - |
    ${VIDNOISE:-vidnoise} - -o - |
    ffmpeg -v error -y -i - -c:v libx264 -crf 16 -preset veryfast "$2"
