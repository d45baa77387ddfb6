/*
 * Facts about media types: names from the registries of IANA (https://www.iana.org/assignments/media-types),
 * freedesktop.org (shared-mime-info) and Apache Tika, and the names that browsers and operating systems send.
 * `scripts/compare-media-types.ts` compares the tables with the installed shared-mime-info. `*` matches any characters.
 */

/** A canonical name, then the aliases of the type. */
export const ALIASES = `
application/eps: application/x-eps image/eps image/x-eps image/x-gzeps
application/epub+zip: application/epub application/x-epub+zip
application/geo+json: application/vnd.geo+json
application/gpx+xml: application/gpx application/x-gpx application/x-gpx+xml
application/gzip: application/gzip-compressed application/gzipped application/x-gunzip application/x-gzip application/x-gzip-compressed gzip/document
application/java-archive: application/x-jar application/x-java-archive
application/java-vm: application/java application/java-byte-code application/x-java application/x-java-class application/x-java-vm
application/lzip: application/x-lzip
application/mathml+xml: text/mathml
application/msword: application/doc application/vnd.ms-word application/vnd.msword application/winword application/x-msword zz-application/zz-winassoc-doc
application/octet-stream: application/binary application/unknown application/x-binary application/x-octet-stream application/x-unknown binary/octet-stream unknown/unknown
application/pdf: application/acrobat application/nappdf application/vnd.pdf application/x-pdf image/pdf text/pdf text/x-pdf
application/pgp-encrypted: application/pgp
application/pkcs12: application/x-pkcs12
application/postscript: application/ps application/x-postscript application/x-ps
application/rdf+xml: text/rdf
application/rss+xml: text/rss
application/rtf: application/x-rtf text/rtf text/x-rtf
application/sdp: application/vnd.sdp application/x-sdp
application/smil+xml: application/smil
application/sql: application/x-sql
application/vnd.adobe.illustrator: application/illustrator application/x-illustrator
application/vnd.adobe.xfdf: application/xfdf
application/vnd.apple.keynote: application/keynote application/x-iwork-keynote-sffkey
application/vnd.apple.mpegurl: application/m3u application/mpegurl application/x-mpegurl audio/m3u audio/mpegurl audio/x-m3u audio/x-mp3-playlist audio/x-mpegurl video/x-mpegurl
application/vnd.apple.numbers: application/numbers application/x-iwork-numbers-sffnumbers
application/vnd.apple.pages: application/pages application/x-iwork-pages-sffpages
application/vnd.comicbook+zip: application/x-cbz
application/vnd.comicbook-rar: application/x-cbr
application/vnd.corel-draw: application/cdr application/coreldraw application/x-cdr application/x-coreldraw image/cdr image/x-cdr
application/vnd.iccprofile: application/x-iccprofile
application/vnd.lotus-1-2-3: application/lotus123 application/wk1 application/x-123 application/x-lotus123
application/vnd.mif: application/x-mif
application/vnd.ms-access: application/mdb application/msaccess application/vnd.msaccess application/x-mdb application/x-msaccess
application/vnd.ms-cab-compressed: application/x-cab zz-application/zz-winassoc-cab
application/vnd.ms-excel: application/excel application/msexcel application/x-excel application/x-ms-excel application/x-msexcel application/x-xls application/xls zz-application/zz-winassoc-xls
application/vnd.ms-htmlhelp: application/x-chm
application/vnd.ms-powerpoint: application/mspowerpoint application/powerpoint application/ppt application/x-mspowerpoint application/x-powerpoint
application/vnd.ms-project: application/msproj application/msproject application/x-ms-project application/x-msproject
application/vnd.ms-publisher: application/x-mspublisher
application/vnd.ms-tnef: application/ms-tnef
application/vnd.ms-visio.drawing: application/vnd.ms-visio.drawing.main+xml
application/vnd.ms-visio.drawing.macroenabled.12: application/vnd.ms-visio.drawing.macroenabled application/vnd.ms-visio.drawing.macroenabled.main+xml
application/vnd.ms-visio.stencil: application/vnd.ms-visio.stencil.main+xml
application/vnd.ms-visio.stencil.macroenabled.12: application/vnd.ms-visio.stencil.macroenabled application/vnd.ms-visio.stencil.macroenabled.main+xml
application/vnd.ms-visio.template: application/vnd.ms-visio.template.main+xml
application/vnd.ms-visio.template.macroenabled.12: application/vnd.ms-visio.template.macroenabled application/vnd.ms-visio.template.macroenabled.main+xml
application/vnd.ms-xpsdocument: application/oxps application/xps
application/vnd.oasis.opendocument.base: application/vnd.oasis.opendocument.database application/vnd.sun.xml.base
application/vnd.palm: application/x-palm-database application/x-pilot
application/vnd.rar: application/rar application/x-rar application/x-rar-compressed
application/vnd.rn-realmedia: application/vnd.rn-realmedia-vbr
application/vnd.tcpdump.pcap: application/pcap application/x-pcap
application/vnd.visio: application/visio application/visio.drawing application/vnd.ms-visio application/vnd.ms-visio.viewer application/x-visio
application/vnd.wordperfect: application/wordperfect application/x-wordperfect
application/wasm: application/x-wasm
application/x-7z-compressed: application/7z application/x-7z application/x-7zip application/x-7zip-compressed
application/x-ace-compressed: application/x-ace
application/x-arj: application/arj application/x-arj-compressed
application/x-bzip-compressed-tar: application/x-bzip2-compressed-tar application/x-tbz
application/x-bzip2: application/bzip2 application/x-bz2 application/x-bzip
application/x-cfb: application/cdfv2 application/vnd.ms-office application/x-ole-storage application/x-tika-msoffice
application/x-compress: application/z
application/x-compressed-tar: application/tar+gzip application/tgz application/x-gtar-compressed application/x-tgz
application/x-dbf: application/dbase application/dbf application/vnd.dbf application/x-dbase
application/x-deb: application/vnd.debian.binary-package application/x-debian-package
application/x-elf: application/x-executable application/x-pie-executable application/x-sharedlib
application/x-google-chrome-extension: application/x-chrome-extension
application/x-hwp: application/haansofthwp application/vnd.haansoft-hwp
application/x-iso9660-image: application/iso-image application/x-cd-image application/x-iso
application/x-lzh-compressed: application/x-lha application/x-lzh
application/x-mach-binary: application/x-mach-o application/x-mach-o-executable application/x-mach-o-universal
application/x-ms-regedit: text/x-ms-regedit
application/x-ms-shortcut: application/x-win-lnk
application/x-msdownload: application/dos-exe application/exe application/vnd.microsoft.portable-executable application/x-dosexec application/x-exe application/x-ms-dos-executable application/x-msdos-program application/x-winexe
application/x-msi: application/x-ms-installer application/x-windows-installer
application/x-plist: application/x-apple-plist
application/x-quattro-pro: application/x-quattropro
application/x-rpm: application/x-redhat-package-manager
application/x-sh: application/x-bash application/x-shellscript
application/x-shockwave-flash: application/futuresplash application/vnd.adobe.flash.movie
application/x-sqlite3: application/vnd.sqlite3
application/x-stuffit: application/stuffit application/x-sit
application/x-subrip: application/srt application/x-srt
application/x-tar: application/tar application/x-gtar application/x-ustar
application/x-tex: application/x-latex
application/x-unix-archive: application/x-archive
application/xliff+xml: application/x-xliff application/x-xliff+xml
application/xspf+xml: application/x-xspf+xml
application/yaml: application/x-yaml application/x-yml
application/zip: application/x-zip application/x-zip-compressed application/zip-compressed multipart/x-zip
application/zstd: application/x-zstd
audio/aac: audio/aacp audio/x-aac audio/x-hx-aac-adts
audio/aiff: audio/x-aifc audio/x-aiff audio/x-aiffc sound/aiff
audio/amr: audio/x-amr
audio/amr-wb: audio/x-amr-wb
audio/ape: audio/x-ape audio/x-monkeys-audio
audio/flac: audio/x-flac
audio/matroska: audio/x-matroska
audio/midi: application/x-midi audio/mid audio/x-mid audio/x-midi
audio/mp4: audio/m4a audio/m4b audio/mp4a-latm audio/x-m4a audio/x-m4b audio/x-m4p audio/x-m4r audio/x-mp4 audio/x-mp4a
audio/mpeg: audio/mp2 audio/mp3 audio/mpa audio/mpeg3 audio/mpg audio/x-mp2 audio/x-mp3 audio/x-mpeg audio/x-mpeg-3 audio/x-mpg
audio/ogg: application/ogg application/x-ogg application/x-speex audio/opus audio/speex audio/vorbis audio/x-flac+ogg audio/x-ogg audio/x-ogg-flac audio/x-oggflac audio/x-opus+ogg audio/x-speex audio/x-speex+ogg audio/x-vorbis audio/x-vorbis+ogg
audio/vnd.dolby.dd-raw: audio/ac3 audio/x-ac3
audio/vnd.dts: audio/x-dts
audio/vnd.dts.hd: audio/x-dtshd
audio/vnd.rn-realaudio: audio/vnd.m-realaudio audio/x-pn-realaudio audio/x-realaudio
audio/wav: audio/vnd.wave audio/wave audio/x-pn-wav audio/x-wav
audio/wavpack: audio/x-wavpack audio/x-wavpack-correction
audio/x-caf: audio/caf
audio/x-dff: audio/dff
audio/x-dsf: audio/dsd audio/dsf audio/x-dsd
audio/x-it: audio/it
audio/x-ms-asf: audio/wma audio/x-ms-wma
audio/x-ms-asx: application/x-ms-asx audio/x-ms-wax video/x-ms-wax video/x-ms-wmx video/x-ms-wvx
audio/x-musepack: audio/musepack
audio/x-s3m: audio/s3m
audio/x-scpls: application/pls audio/scpls
audio/x-tta: audio/tta
audio/x-xm: audio/xm
font/otf: application/font-otf application/vnd.ms-opentype application/x-font-opentype application/x-font-otf font/opentype
font/ttf: application/font-ttf application/x-font-truetype application/x-font-ttf font/truetype
font/woff: application/font-woff application/x-font-woff
font/woff2: application/font-woff2
image/apng: image/vnd.mozilla.apng
image/avif: image/avif-sequence
image/bmp: application/bmp image/ms-bmp image/x-bmp image/x-ms-bmp image/x-windows-bmp
image/emf: application/emf application/x-emf image/x-emf
image/fits: application/fits image/x-fits
image/g3fax: image/fax-g3
image/heic: image/hevc
image/heic-sequence: image/hevc-sequence
image/icns: image/x-apple-icons image/x-icns
image/j2c: image/x-jp2-codestream
image/jp2: image/jpeg2000 image/jpeg2000-image image/x-jp2 image/x-jpeg2000-image
image/jpeg: application/jpg image/jfif image/jpe image/jpg image/pjpeg image/x-citrix-jpeg image/x-jpeg image/x-jpg
image/jpm: video/jpm
image/jxl: image/x-jxl
image/mj2: video/mj2
image/png: application/png image/x-citrix-png image/x-png
image/svg+xml: application/svg+xml image/svg image/svg-xml image/vnd.adobe.svg+xml text/svg
image/tiff: application/tiff image/tif image/x-tif image/x-tiff image/x-tiff-multipage
image/vnd.adobe.photoshop: application/photoshop application/psd application/x-photoshop image/photoshop image/psd image/x-photoshop image/x-psd
image/vnd.djvu: image/vnd.djvu+multipage image/x-djvu image/x.djvu
image/vnd.dwg: application/acad application/autocad_dwg application/dwg application/x-acad application/x-autocad application/x-dwg drawing/dwg image/x-dwg
image/vnd.dxf: application/dxf application/x-dxf drawing/x-dxf image/x-dxf
image/vnd.microsoft.icon: application/ico image/ico image/icon image/x-ico image/x-icon image/x-win-cursor text/ico
image/vnd.ms-dds: image/x-dds
image/vnd.ms-photo: image/jxr
image/vnd.zbrush.pcx: application/pcx image/pcx image/x-pc-paintbrush image/x-pcx
image/webp: image/x-webp
image/wmf: application/wmf application/x-msmetafile application/x-wmf image/x-win-metafile image/x-wmf
image/x-adobe-dng: image/dng image/x-dng image/x-raw-adobe
image/x-canon-cr2: image/cr2
image/x-canon-cr3: image/cr3
image/x-exr: image/aces
image/x-fujifilm-raf: image/x-fuji-raf
image/x-ilbm: image/x-iff
image/x-nikon-nef: image/nef image/x-raw-nikon
image/x-panasonic-rw2: image/x-panasonic-raw2
image/x-pentax-pef: image/x-raw-pentax
image/x-sgi: image/sgi
image/x-sony-arw: image/arw image/x-raw-sony
image/x-tga: application/tga application/x-targa application/x-tga image/targa image/tga image/vnd.truevision.tga image/x-icb image/x-targa
image/x-xbitmap: image/x-xbm image/xbm
image/x-xcf: image/xcf
image/x-xpixmap: image/x-xpm image/xpm
model/3mf: application/vnd.ms-3mfdocument application/vnd.ms-package.3dmanufacturing-3dmodel+xml
model/stl: application/sla application/vnd.ms-pki.stl model/x.stl-ascii model/x.stl-binary
text/calendar: application/ics text/x-vcalendar
text/css: application/css application/x-css
text/csv: application/csv application/x-csv text/comma-separated-values text/x-comma-separated-values text/x-csv
text/html: application/html
text/javascript: application/ecmascript application/javascript application/x-ecmascript application/x-javascript text/ecmascript text/x-javascript
text/markdown: application/markdown text/x-markdown text/x-web-markdown
text/plain: application/text application/txt text/x-plain
text/tab-separated-values: text/tsv text/x-tsv
text/troff: application/x-troff text/x-troff
text/vcard: application/vcard text/directory text/x-vcard
text/vnd.trolltech.linguist: application/x-linguist text/vnd.qt.linguist
text/vtt: text/webvtt
text/x-python: application/x-python text/x-script.python
text/x-sh: text/x-shellscript
text/x-subrip: text/srt text/x-srt
text/x-tex: text/x-latex
text/xml: application/x-xml application/xml
text/yaml: text/vnd.yaml text/x-yaml text/x-yml
video/3gpp: video/3gp video/3gpp-encrypted video/x-3gpp
video/3gpp2: video/3g2 video/x-3gpp2
video/matroska: application/x-matroska video/mkv video/x-matroska video/x-matroska-3d
video/mp2t: application/x-mpegts video/m2ts video/mp2ts video/vnd.dlna.mpeg-tts video/x-mpegts
video/mp4: application/mp4 video/m4v video/mp4v-es video/x-m4v video/x-mp4
video/mpeg: video/dvd video/mp1s video/mp2p video/mpeg-system video/mpg video/x-mpeg video/x-mpeg-system video/x-mpeg2 video/x-mpg video/x-ms-vob
video/ogg: video/theora video/x-ogg video/x-ogm video/x-ogm+ogg video/x-theora video/x-theora+ogg
video/quicktime: application/quicktime video/mov video/x-quicktime
video/vnd.rn-realvideo: video/x-real-video
video/vnd.vivo: video/vivo
video/x-f4v: video/f4v
video/x-flic: video/fli video/x-fli
video/x-flv: application/x-flash-video flv-application/octet-stream video/flv
video/x-ms-asf: video/x-ms-asf-plugin video/x-ms-wm video/x-ms-wmv
video/x-msvideo: application/x-troff-msvideo video/avi video/divx video/msvideo video/vnd.avi video/vnd.divx video/x-avi
`;

/**
 * A parent type, then its child types. A child's bytes may show only the parent's signature. `!` excludes a type that a
 * `*` includes.
 */
export const CHILDREN = `
application/gzip: */*+gzip application/x-abiword application/x-compressed-tar application/x-cpio-compressed application/x-dia-diagram application/x-gnumeric application/x-gzdvi application/x-gzpdf application/x-gzpostscript application/x-ms-wmz application/x-vnd.datapackage+gz image/svg+xml-compressed image/x-emf-compressed
application/java-archive: application/vnd.android.package-archive application/x-tika-java-enterprise-archive application/x-tika-java-web-archive application/x-xpinstall
application/pdf: application/vnd.adobe.illustrator application/x-wwf
application/postscript: application/eps application/vnd.adobe.illustrator application/x-font-type1
application/vnd.rar: application/vnd.comicbook-rar
application/vnd.visio: application/vnd.ms-visio.drawing application/vnd.ms-visio.stencil application/vnd.ms-visio.template
application/x-7z-compressed: application/x-cb7
application/x-bzip2: application/x-bzdvi application/x-bzip-compressed-tar application/x-bzpdf application/x-bzpostscript image/x-bzeps
application/x-cfb: application/msword application/msword-template application/sldworks application/vnd.hancom.hwp application/vnd.ms-excel application/vnd.ms-outlook application/vnd.ms-powerpoint application/vnd.ms-project application/vnd.ms-publisher application/vnd.ms-works application/vnd.stardivision.* application/vnd.visio application/x-corelpresentations application/x-hwp application/x-msi application/x-pagemaker application/x-quattro-pro application/x-tika-ooxml-protected image/vnd.fpx
application/x-compress: application/x-tarz
application/x-iso9660-image: application/x-roxio-toast
application/x-lz4: application/x-lz4-compressed-tar
application/x-sqlite3: */*+sqlite3 application/x-fossil-repository application/x-geopackage application/x-kexiproject-sqlite3 application/x-mbtiles
application/x-tar: application/ovf application/x-cbt
application/x-unix-archive: application/x-deb
application/x-xz: application/x-xz-compressed-tar application/x-xzpdf
application/zip: */*+zip application/bizagi-modeler application/epub+zip application/vnd.adobe.indesign-idml-package application/vnd.apple.iwork application/vnd.apple.keynote application/vnd.apple.numbers application/vnd.apple.pages application/vnd.apple.pkpass application/vnd.geogebra.* application/vnd.google-earth.kmz application/vnd.mindjet.mindmanager application/vnd.ms-officetheme application/vnd.ms-xpsdocument application/vnd.oasis.opendocument.* !application/vnd.oasis.opendocument.*-flat-xml application/vnd.openofficeorg.* application/vnd.openxmlformats-officedocument.* application/vnd.recordare.musicxml application/vnd.software602.filler.form-xml-zip application/vnd.sun.xml.* application/vnd.visio application/vnd.xmind.workbook application/vnd.youtube.yt application/x-itunes-ipa application/x-krita application/x-xmind application/x-zip-compressed-fb2 application/x.scratch.sb3 image/openraster model/3mf model/vnd.dwfx+xps
application/zstd: application/x-zstd-compressed-tar
application/vnd.ms-cab-compressed: application/x-windows-themepack
application/x-rpm: application/x-source-rpm
audio/amr: audio/amr-wb audio/amr-wb+
audio/ogg: audio/annodex video/annodex video/daala video/ogg video/x-dirac
audio/vnd.dolby.dd-raw: audio/eac3 audio/x-eac3
image/bmp: image/vnd.ms-dib image/x-dib image/x-win-bitmap
image/heif: image/avif image/heic image/heic-sequence image/heif-sequence
image/jp2: image/jph image/jpm image/jpx image/mj2
image/tiff: application/vnd.ms-office.mdi image/geotiff image/tiff-fx image/vnd.aperio.svs image/x-adobe-dng image/x-canon-cr2 image/x-dcraw image/x-epson-erf image/x-hasselblad-3fr image/x-hasselblad-fff image/x-kodak-dcr image/x-kodak-k25 image/x-kodak-kdc image/x-leaf-mos image/x-leica-rwl image/x-mamiya-mef image/x-nikon-nef image/x-nikon-nrw image/x-pentax-pef image/x-phaseone-iiq image/x-samsung-srw image/x-sony-arw image/x-sony-sr2 image/x-sony-srf
image/x-dcraw: image/x-adobe-dng image/x-canon-* image/x-fujifilm-raf image/x-kodak-* image/x-minolta-mrw image/x-nikon-* image/x-olympus-orf image/x-panasonic-* image/x-pentax-pef image/x-sigma-x3f image/x-sony-*
image/vnd.microsoft.icon: image/x-win-bitmap
text/html: application/x-asp application/x-httpd-php application/x-jsp application/x-mozilla-bookmarks application/x-php application/xhtml+xml text/x-handlebars-template text/x-jsp text/x-php text/x-svelte text/x-vue
text/plain: application/*+json model/*+json application/json application/sql application/x-asp application/x-httpd-php application/x-jsp application/x-php application/xml-dtd application/toml application/vnd.apple.mpegurl application/x-ndjson application/x-sh application/x-subrip application/x-tex application/yaml audio/x-scpls image/x-xbitmap image/x-xfig image/x-xpixmap message/* text/* !text/html !text/xml video/vnd.mpegurl
text/xml: application/*+xml model/*+xml text/*+xml !application/xhtml+xml application/vnd.adobe.xfdf application/vnd.ms-spreadsheetml application/vnd.ms-word2006ml application/vnd.ms-wordml application/vnd.oasis.opendocument.*-flat-xml application/x-abiword application/x-adobe-indesign-interchange application/x-designer application/x-dia-diagram application/x-dia-shape application/x-font-ttx application/x-fictionbook application/x-glade application/x-gtk-builder application/x-java-jnlp-file application/x-nzb application/x-tmx application/x-ufraw application/x-xbel application/xml-dtd application/xml-external-parsed-entity audio/x-ms-asx text/vnd.trolltech.linguist
video/matroska: audio/matroska audio/webm video/webm
video/mp2t: audio/mp2t
video/webm: audio/webm
`;

/**
 * Types whose names are used interchangeably because they share a container and differ only in its content. The
 * declared name counts.
 */
export const FAMILIES = `
application/vnd.amazon.ebook application/vnd.amazon.mobi8-ebook application/vnd.palm application/x-mobipocket-ebook
application/vnd.apple.keynote application/vnd.apple.numbers application/vnd.apple.pages
application/vnd.ms-asf audio/x-ms-asf video/x-ms-asf
audio/3gpp audio/3gpp2 audio/mp4 video/3gpp video/3gpp2 video/iso.segment video/mp4 video/quicktime video/x-f4v
font/collection font/otf font/ttf
image/apng image/png
image/heic image/heic-sequence image/heif-sequence
image/x-nikon-nef image/x-nikon-nrw
image/x-sony-arw image/x-sony-sr2 image/x-sony-srf
`;

/**
 * Well-known confusions: the type that systems derive from a file's name, the type of its bytes, and the resulting type
 * (`declared`, `found` or a name). Most are extensions that two formats share (`.ts`, `.dot`), or formats that programs
 * write under the extension of an older one.
 */
export const MISNOMERS = `
application/dash-patch+xml application/x-cfb found
application/gzip application/x-tar found
application/json text/xml found
application/msword application/rtf found
application/msword application/vnd.openxmlformats-officedocument.wordprocessingml.* found
application/msword application/x-tika-ooxml-protected declared
application/msword text/plain found
application/msword text/xml found
application/msword-template text/plain found
application/pgp-keys application/vnd.apple.keynote found
application/pgp-keys application/zip found
application/postscript application/pdf found
application/rls-services+xml text/plain found
application/smil+xml text/plain found
application/vnd.apple.keynote text/plain found
application/vnd.comicbook+zip application/vnd.rar found
application/vnd.comicbook-rar application/x-7z-compressed found
application/vnd.comicbook-rar application/x-tar found
application/vnd.comicbook-rar application/zip found
application/vnd.mophun.certificate audio/x-musepack found
application/vnd.ms-*.macroenabled.12 application/x-tika-ooxml-protected declared
application/vnd.ms-excel application/vnd.openxmlformats-officedocument.spreadsheetml.* found
application/vnd.ms-excel application/x-tika-ooxml-protected declared
application/vnd.ms-excel text/plain text/csv
application/vnd.ms-excel text/xml found
application/vnd.ms-officetheme application/vnd.openxmlformats-officedocument.presentationml.* declared
application/vnd.ms-powerpoint application/vnd.openxmlformats-officedocument.presentationml.* found
application/vnd.ms-powerpoint application/x-tika-ooxml-protected declared
application/vnd.ms-powerpoint text/plain found
application/vnd.ms-visio.* application/x-tika-ooxml-protected declared
application/vnd.oasis.opendocument.formula-template font/otf found
application/vnd.openxmlformats-officedocument.* application/x-tika-ooxml-protected declared
application/x-compressed application/gzip found
application/x-compressed application/vnd.rar found
application/x-compressed application/x-7z-compressed found
application/x-compressed application/x-compress found
application/x-compressed application/zip found
application/x-hwp application/x-cfb declared
application/x-msdownload application/x-cfb found
application/x-msdownload text/plain found
application/x-mswrite application/msword declared
application/x-object application/x-elf declared
application/x-tar application/gzip found
application/x-tar application/x-bzip2 found
application/x-tar application/x-compress found
application/x-tar application/x-xz found
application/x-tar application/zstd found
audio/aac audio/mp4 found
audio/aac text/plain found
audio/aac video/mp4 audio/mp4
audio/amr video/3gpp audio/3gpp
audio/mp4 audio/aac found
audio/mpeg video/mpeg found
audio/vnd.rn-realaudio text/plain declared
audio/x-ms-asx text/plain declared
audio/x-musepack application/x-cfb found
image/fits text/plain declared
image/j2c image/jp2 found
image/prs.btif image/tiff found
image/svg+xml application/gzip found
image/vnd.dvb.subtitle text/plain found
image/vnd.dxf text/plain declared
image/x-portable-* text/plain declared
model/vnd.mts video/mp2t found
text/html text/xml declared
video/3gpp audio/3gpp found
video/3gpp2 audio/3gpp2 found
video/mp2t text/plain found
video/mp2t text/xml found
video/mp2t video/mpeg found
video/mp4 audio/mp4 found
video/mpeg video/mp2t found
video/x-ms-asf text/plain found
video/x-ms-asf text/xml found
`;

/** Types whose files all have a signature: bytes without it contradict the declared type and its children. */
export const RECOGNISED = `
application/gzip application/java-archive application/java-vm application/msword application/pdf application/rtf
application/vnd.android.package-archive application/vnd.ms-*.macroenabled.12 application/vnd.ms-excel
application/vnd.ms-powerpoint application/vnd.rar application/wasm
application/x-7z-compressed application/x-bzip2 application/x-elf application/x-google-chrome-extension
application/x-mach-binary application/x-msdownload application/x-shockwave-flash application/x-sqlite3 application/x-tar
application/x-xz application/xhtml+xml application/zip application/zstd
audio/3gpp audio/3gpp2 audio/aac audio/aiff audio/amr audio/ape audio/flac audio/midi audio/mp4 audio/mpeg audio/ogg audio/wav
audio/wavpack audio/x-caf audio/x-ms-asf
font/woff font/woff2
image/apng image/bmp image/gif image/heif image/icns image/jp2 image/jpeg image/jxl image/png image/svg+xml image/tiff
image/vnd.adobe.photoshop image/vnd.microsoft.icon image/webp image/x-canon-cr3 image/x-xcf
text/html text/plain text/xml
video/3gpp video/3gpp2 video/matroska video/mp2t video/mp4 video/mpeg video/quicktime video/x-flv video/x-ms-asf video/x-msvideo
`;

/**
 * Types that differ from their parent by the content of the whole file: bytes that show only the parent contradict
 * them.
 */
export const PROVEN = `
application/epub+zip application/vnd.oasis.opendocument.* application/vnd.openxmlformats-officedocument.presentationml.*
application/vnd.openxmlformats-officedocument.spreadsheetml.* application/vnd.openxmlformats-officedocument.wordprocessingml.*
!application/vnd.oasis.opendocument.*-flat-xml
`;
